//! `GET /_synapse/admin/v1/users/{userId}/memberships`

use std::collections::BTreeMap;

use axle_protocol::RoomId;
use axum::response::Response;
use http::Method;
use serde_json::json;

use super::{account, admin};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/users/{user_id}/memberships"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &PATHS, user_memberships)
}

/// In rooms that this server is or was in, and invites and knocks elsewhere.
async fn user_memberships(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let outside = api.store.out_of_room(&user_id).await?.into_iter();
    let mut memberships: BTreeMap<RoomId, &str> =
        outside.map(|entry| (entry.room_id, entry.membership.as_str())).collect();
    let inside = api.store.user_rooms(&user_id).await?.into_iter();
    memberships.extend(inside.map(|room| (room.room_id, room.membership.as_str())));
    Ok(respond(JsonResponse(json!({ "memberships": memberships }))))
}
