//! `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`

use axum::response::Response;
use http::Method;
use serde_json::{Map, Value};

use super::{FIELD, place};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::profile;
use crate::session::Session;
use crate::state::Api;

const DISPLAYNAME: [&str; 1] = ["/_matrix/client/v3/profile/{user_id}/displayname"];
const AVATAR: [&str; 1] = ["/_matrix/client/v3/profile/{user_id}/avatar_url"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed_raw(Method::DELETE, &FIELD, field_delete)
        .authed_or_guest_raw(Method::DELETE, &DISPLAYNAME, displayname_delete)
        .authed_raw(Method::DELETE, &AVATAR, avatar_delete)
}

async fn field_delete(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let (user_id, name) = place(&request);
    profile::require_own(&session, &user_id)?;
    profile::check_field_name(&name)?;
    api.limits.changes.take(session.user_id.as_str())?;
    api.store.remove_profile_field(&session.user_id, &name).await?;
    Ok(done())
}

async fn displayname_delete(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let (user_id, _) = place(&request);
    profile::change(&api, &session, &user_id, |profile| profile.displayname = None).await?;
    Ok(done())
}

async fn avatar_delete(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let (user_id, _) = place(&request);
    profile::change(&api, &session, &user_id, |profile| profile.avatar_url = None).await?;
    Ok(done())
}

fn done() -> Response {
    respond(JsonResponse(Map::<String, Value>::new()))
}
