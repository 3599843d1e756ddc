//! `GET /_synapse/admin/v1/rooms/{roomId}/members`

use axle_protocol::auth::Membership;
use axum::response::Response;
use http::Method;
use serde_json::json;

use super::{admin, no_such_room, room_id};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/rooms/{room_id}/members"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &PATHS, room_members)
}

async fn room_members(api: Api, request: RawRequest) -> ApiResult<Response> {
    let room_id = room_id(&request)?;
    api.store.state_event(&room_id, "m.room.create", "").await?.ok_or_else(no_such_room)?;
    let members = api.store.members(&room_id, Membership::Join).await?;
    Ok(respond(JsonResponse(json!({ "members": members, "total": members.len() }))))
}
