//! `GET /_synapse/admin/v1/rooms`

use std::cmp::Reverse;
use std::collections::HashMap;

use axle_protocol::{MatrixError, RoomId};
use axle_store::RoomSummary;
use axum::response::Response;
use http::Method;
use serde::{Deserialize, Serialize};

use super::room_get::{Described, Key, describe};
use super::{admin, is_backward, limit};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/rooms"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &PATHS, rooms_list)
}

#[derive(Deserialize)]
struct Asked {
    from: Option<usize>,
    limit: Option<usize>,
    order_by: Option<String>,
    dir: Option<String>,
    search_term: Option<String>,
    /// Only those that are on the list of rooms, or are not.
    public_rooms: Option<bool>,
    /// Only those that nobody is in, or that somebody is in.
    empty_rooms: Option<bool>,
}

#[derive(Serialize)]
struct Found {
    rooms: Vec<Described>,
    offset: usize,
    total_rooms: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<usize>,
}

async fn rooms_list(api: Api, request: RawRequest) -> ApiResult<Response> {
    let asked: Asked = request.query()?;
    let (offset, limit) = (asked.from.unwrap_or(0), limit(asked.limit));
    let mut rooms = api.store.rooms().await?;
    if let Some(term) = asked.search_term.filter(|term| !term.is_empty()) {
        let term = term.to_lowercase();
        let has_term = |room: &RoomSummary| {
            let name = room.name.as_deref().unwrap_or_default().to_lowercase();
            name.contains(&term) || room.room_id.as_str().to_lowercase().contains(&term)
        };
        rooms.retain(has_term);
    }
    if let Some(empty) = asked.empty_rooms {
        rooms.retain(|room| (room.joined_members == 0) == empty);
    }
    if let Some(public) = asked.public_rooms {
        rooms = listed(&api, rooms, public).await?;
    }
    rooms = sort(&api, rooms, asked.order_by.as_deref()).await?;
    if is_backward(asked.dir.as_deref())? {
        rooms.reverse();
    }
    let page: Vec<RoomId> = rooms.iter().skip(offset).take(limit).map(|room| room.room_id.clone()).collect();
    let end = offset.saturating_add(page.len());
    Ok(respond(JsonResponse(Found {
        rooms: describe(&api, &page).await?,
        offset,
        total_rooms: rooms.len(),
        next_batch: (end < rooms.len() && !page.is_empty()).then_some(end),
        prev_batch: (offset > 0).then(|| offset.saturating_sub(limit)),
    })))
}

/// Those of these rooms that are on the list of rooms, or are not.
async fn listed(api: &Api, rooms: Vec<RoomSummary>, public: bool) -> ApiResult<Vec<RoomSummary>> {
    let mut kept = Vec::new();
    for room in rooms {
        if api.store.is_listed(&room.room_id).await? == public {
            kept.push(room);
        }
    }
    Ok(kept)
}

/// By name unless it is said otherwise; equal ones by their ids. What counts something has the most first, as in Synapse.
async fn sort(api: &Api, mut rooms: Vec<RoomSummary>, by: Option<&str>) -> ApiResult<Vec<RoomSummary>> {
    rooms.sort_by(|one, other| one.room_id.cmp(&other.room_id));
    match by {
        None | Some("name" | "alphabetical") => rooms.sort_by_key(|room| room.name.clone().map(|it| it.to_lowercase())),
        Some("joined_members" | "size") => rooms.sort_by_key(|room| Reverse(room.joined_members)),
        Some("version") => rooms.sort_by_key(|room| Reverse(room.room_version.as_str())),
        Some(by) => {
            let key =
                Described::key(by).ok_or_else(|| MatrixError::invalid_param("Rooms cannot be ordered by this."))?;
            // What the list does not have is looked up for each room.
            let room_ids: Vec<RoomId> = rooms.iter().map(|room| room.room_id.clone()).collect();
            let keys = describe(api, &room_ids).await?.into_iter().map(|room| (room.room_id.clone(), key(&room)));
            let keys: HashMap<RoomId, Key> = keys.collect();
            rooms.sort_by(|one, other| keys.get(&one.room_id).cmp(&keys.get(&other.room_id)));
        }
    }
    Ok(rooms)
}
