//! `GET` and `PUT /_matrix/client/v1/admin/lock/{userId}`

use ruma::api::client::admin::{is_user_locked, lock_user};

use super::{account, change};
use crate::endpoint::Endpoints;
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed(get).authed(put)
}

async fn get(
    api: Api,
    session: Session,
    request: is_user_locked::v1::Request,
) -> ApiResult<is_user_locked::v1::Response> {
    let user = account(&api, &session, request.user_id.as_str()).await?;
    Ok(is_user_locked::v1::Response::new(user.standing.locked))
}

async fn put(api: Api, session: Session, request: lock_user::v1::Request) -> ApiResult<lock_user::v1::Response> {
    let locked = request.locked;
    change(&api, &session, request.user_id.as_str(), |standing| standing.locked = locked).await?;
    Ok(lock_user::v1::Response::new(locked))
}
