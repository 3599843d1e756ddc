//! `GET /_synapse/admin/v1/username_available`

use axle_protocol::MatrixError;
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::admin;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::endpoints::account::register::free_user;
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/username_available"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &PATHS, username_available)
}

#[derive(Deserialize)]
struct Asked {
    username: Option<String>,
}

/// Whether or not people may register themselves.
async fn username_available(api: Api, request: RawRequest) -> ApiResult<Response> {
    let Asked { username } = request.query()?;
    let username = username.ok_or_else(|| MatrixError::missing_param("username is missing."))?;
    free_user(&api, &username).await?;
    Ok(respond(JsonResponse(json!({ "available": true }))))
}
