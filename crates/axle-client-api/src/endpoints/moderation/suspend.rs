//! `GET` and `PUT /_matrix/client/v1/admin/suspend/{userId}`, and Synapse's `PUT /_synapse/admin/v1/suspend/{userId}`

use axum::response::Response;
use http::Method;
use ruma::api::client::admin::{is_user_suspended, suspend_user};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{account, change};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    let endpoints = endpoints.authed(get).authed(put);
    endpoints.authed_raw(Method::PUT, &["/_synapse/admin/v1/suspend/{user_id}"], by_synapse)
}

async fn get(
    api: Api,
    session: Session,
    request: is_user_suspended::v1::Request,
) -> ApiResult<is_user_suspended::v1::Response> {
    let user = account(&api, &session, request.user_id.as_str()).await?;
    Ok(is_user_suspended::v1::Response::new(user.standing.suspended))
}

async fn put(api: Api, session: Session, request: suspend_user::v1::Request) -> ApiResult<suspend_user::v1::Response> {
    let suspended = request.suspended;
    change(&api, &session, request.user_id.as_str(), |standing| standing.suspended = suspended).await?;
    Ok(suspend_user::v1::Response::new(suspended))
}

#[derive(Deserialize)]
struct BySynapse {
    suspend: bool,
}

async fn by_synapse(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let user_id = request.path(0).unwrap_or_default().to_owned();
    // Whether there is such an account is told to administrators only, so before the body is looked at.
    account(&api, &session, &user_id).await?;
    let BySynapse { suspend } = request.json().await?;
    change(&api, &session, &user_id, |standing| standing.suspended = suspend).await?;
    Ok(respond(JsonResponse(Map::from_iter([(format!("user_{user_id}_suspended"), Value::Bool(suspend))]))))
}
