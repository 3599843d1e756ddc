//! `GET /_synapse/admin/v1/rooms`

use std::cmp::Reverse;

use axle_protocol::{MatrixError, RoomId};
use axle_store::RoomSummary;
use axum::response::Response;
use http::Method;
use serde::{Deserialize, Serialize};

use super::room_get::{Described, describe};
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
    sort(&mut rooms, asked.order_by.as_deref())?;
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

/// By name unless it is said otherwise. What counts something has the most first, as in Synapse.
fn sort(rooms: &mut [RoomSummary], by: Option<&str>) -> Result<(), MatrixError> {
    match by {
        None | Some("name" | "alphabetical") => rooms.sort_by_key(|room| room.name.clone().map(|it| it.to_lowercase())),
        Some("joined_members" | "size") => rooms.sort_by_key(|room| Reverse(room.joined_members)),
        Some("version") => rooms.sort_by_key(|room| room.room_version.as_str()),
        Some(_) => return Err(MatrixError::invalid_param("Rooms cannot be ordered by this.")),
    }
    Ok(())
}
