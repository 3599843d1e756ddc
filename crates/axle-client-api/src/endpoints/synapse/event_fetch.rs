//! `GET /_synapse/admin/v1/fetch_event/{eventId}`

use axle_protocol::MatrixError;
use axum::response::Response;
use http::Method;
use serde_json::json;

use super::admin;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::render;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/fetch_event/{event_id}"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &PATHS, event_fetch)
}

/// An event of whatever room.
async fn event_fetch(api: Api, request: RawRequest) -> ApiResult<Response> {
    let event_id = ids::event(request.path(0).unwrap_or_default())?;
    let not_found = || MatrixError::not_found("Event not found");
    let event = api.store.event(&event_id).await?.ok_or_else(not_found)?;
    Ok(respond(JsonResponse(json!({ "event": render::whole(&event)? }))))
}
