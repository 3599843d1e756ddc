//! `GET /_synapse/admin/v1/users/{userId}/joined_rooms`

use axle_protocol::RoomId;
use axle_protocol::auth::Membership;
use axum::response::Response;
use http::Method;
use serde_json::json;

use super::{account, admin};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/users/{user_id}/joined_rooms"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &PATHS, user_rooms)
}

async fn user_rooms(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let rooms = api.store.user_rooms(&user_id).await?.into_iter();
    let joined: Vec<RoomId> =
        rooms.filter(|room| room.membership == Membership::Join).map(|room| room.room_id).collect();
    Ok(respond(JsonResponse(json!({ "joined_rooms": joined, "total": joined.len() }))))
}
