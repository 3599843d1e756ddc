//! `GET /_synapse/admin/v1/rooms/{roomId}/state`

use axum::response::Response;
use http::Method;
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

async fn room_state(api: Api, request: RawRequest) -> ApiResult<Response> {
    let state = api.store.current_state(&room_id(&request)?).await?;
    if state.is_empty() {
        return Err(no_such_room().into());
    }
    Ok(respond(JsonResponse(json!({ "state": render::for_service(&api, &state).await? }))))
}
