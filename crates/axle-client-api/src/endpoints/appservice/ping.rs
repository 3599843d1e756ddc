//! `POST /_matrix/client/v1/appservice/{appserviceId}/ping`

use std::time::Duration;

use axle_protocol::MatrixError;
use axum::response::Response;
use http::Method;
use serde::{Deserialize, Serialize};

use super::require_service;
use crate::appservice;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_matrix/client/v1/appservice/{id}/ping"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::POST, &PATHS, ping)
}

#[derive(Deserialize)]
struct Request {
    transaction_id: Option<String>,
}

#[derive(Serialize)]
struct Pinged {
    duration_ms: u64,
}

async fn ping(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let index = require_service(&session)?;
    let named = api.config.services.get(index).filter(|service| Some(service.id.as_str()) == request.path(0));
    if named.is_none() {
        return Err(MatrixError::forbidden("This token is of another application service.").into());
    }
    let request: Request = request.json_or_empty().await?;
    let took: Duration = appservice::ping(&api, index, request.transaction_id).await?;
    Ok(respond(JsonResponse(Pinged { duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) })))
}
