//! `GET /_synapse/admin/v1/rooms/{roomId}/state`

use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{admin, no_such_room, room_id};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::render;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/rooms/{room_id}/state"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &PATHS, room_state)
}

#[derive(Deserialize)]
struct Asked {
    /// Only entries of this type.
    #[serde(rename = "type")]
    event_type: Option<String>,
}

async fn room_state(api: Api, request: RawRequest) -> ApiResult<Response> {
    let (room_id, Asked { event_type }) = (room_id(&request)?, request.query()?);
    api.store.state_event(&room_id, "m.room.create", "").await?.ok_or_else(no_such_room)?;
    let state = match event_type.filter(|event_type| !event_type.is_empty()) {
        Some(event_type) => api.store.state_of_type(&room_id, &event_type).await?,
        None => api.store.current_state(&room_id).await?,
    };
    Ok(respond(JsonResponse(json!({ "state": render::for_service(&api, &state).await? }))))
}
