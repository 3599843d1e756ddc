//! `GET /_matrix/client/v3/profile/{userId}/{keyName}`

use axle_protocol::MatrixError;
use axum::response::Response;
use http::Method;
use serde_json::{Map, Value};

use super::get::read;
use super::{FIELD, place};
use crate::endpoint::{Caller, Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

/// ruma has a type for this which takes the values of the fields that it knows only if they are as it expects.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.open_raw(Method::GET, &FIELD, field_get)
}

async fn field_get(api: Api, caller: Caller, request: RawRequest) -> ApiResult<Response> {
    let (user_id, name) = place(&request);
    let mut profile = read(&api, caller, &user_id).await?;
    let value = profile.remove(&name).ok_or_else(|| MatrixError::not_found("The profile has no such field."))?;
    Ok(respond(JsonResponse(Map::<String, Value>::from_iter([(name, value)]))))
}
