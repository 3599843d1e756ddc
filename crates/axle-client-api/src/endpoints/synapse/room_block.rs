//! `GET` and `PUT /_synapse/admin/v1/rooms/{roomId}/block`

use axum::response::Response;
use http::Method;
use serde::{Deserialize, Serialize};

use super::{admin, room_id};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/rooms/{room_id}/block"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(admin(endpoints, Method::GET, &PATHS, get), Method::PUT, &PATHS, put)
}

#[derive(Deserialize, Serialize)]
struct Block {
    block: bool,
}

async fn get(api: Api, request: RawRequest) -> ApiResult<Response> {
    let room_id = room_id(&request)?;
    let blocked = api.store.blocked_rooms().await?;
    Ok(respond(JsonResponse(Block { block: blocked.contains(&room_id) })))
}

/// The room need not be known here.
async fn put(api: Api, request: RawRequest) -> ApiResult<Response> {
    let room_id = room_id(&request)?;
    let Block { block } = request.json().await?;
    api.store.block_room(&room_id, block).await?;
    Ok(respond(JsonResponse(Block { block })))
}
