//! `PUT /_matrix/client/v3/profile/{userId}/{keyName}`

use axle_protocol::MatrixError;
use axle_store::{MAX_PROFILE_FIELDS_BYTES, ProfileField};
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

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::PUT, &FIELD, field_put)
}

async fn field_put(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let (user_id, name) = place(&request);
    profile::require_own(&session, &user_id)?;
    profile::check_field_name(&name)?;
    api.limits.changes.take(session.user_id.as_str())?;
    let body: Map<String, Value> = request.json().await?;
    let value = body.get(&name).ok_or_else(|| MatrixError::missing_param(format!("There is no {name}.")))?;
    let field = ProfileField { name, json: value.to_string() };
    if !api.store.put_profile_field(&session.user_id, field).await? {
        let error = format!("The fields of a profile have at most {MAX_PROFILE_FIELDS_BYTES} bytes.");
        return Err(MatrixError::new(400, "M_PROFILE_TOO_LARGE", error).into());
    }
    Ok(respond(JsonResponse(Map::<String, Value>::new())))
}
