//! `GET /_synapse/admin/v1/room/{roomId}/media`

use axle_protocol::RoomId;
use axle_store::{Direction, StoredEvent};
use axum::response::Response;
use http::Method;
use serde_json::{Map, Value, json};

use super::{admin, no_such_room, room_id};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::event_content;
use crate::json_response::JsonResponse;
use crate::page;
use crate::render;
use crate::state::Api;

/// Events that are looked at, the newest, and how many of them at once.
const MAX_EVENTS: usize = 100_000;
const BATCH: usize = 500;
/// What an event shows, by the path to it in its content.
const PLACES: [&[&str]; 4] =
    [&["url"], &["file", "url"], &["info", "thumbnail_url"], &["info", "thumbnail_file", "url"]];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &["/_synapse/admin/v1/room/{room_id}/media"], room_media)
}

async fn room_media(api: Api, request: RawRequest) -> ApiResult<Response> {
    let (local, remote) = media_of(&api, &room_id(&request)?).await?;
    Ok(respond(JsonResponse(json!({ "local": local, "remote": remote }))))
}

/// The addresses that events of a room name, this server's and others'; what is encrypted names none. Each is there once,
/// the newest first.
pub(super) async fn media_of(api: &Api, room_id: &RoomId) -> ApiResult<(Vec<String>, Vec<String>)> {
    let (mut local, mut remote) = (Vec::new(), Vec::new());
    let own = format!("mxc://{}/", api.config.server_name);
    let (mut from, mut seen) = (None, 0);
    while seen < MAX_EVENTS {
        let events = api.store.timeline(room_id, from, Direction::Backward, BATCH).await?;
        let Some(oldest) = events.last() else { break };
        seen += events.len();
        for address in events.iter().flat_map(addresses) {
            let list = if address.starts_with(&own) { &mut local } else { &mut remote };
            if !list.contains(&address) {
                list.push(address);
            }
        }
        match page::next(oldest, Direction::Backward).checked_sub(1) {
            Some(before) => from = Some(before),
            None => break,
        }
    }
    match seen {
        0 => Err(no_such_room().into()),
        _ => Ok((local, remote)),
    }
}

fn addresses(event: &StoredEvent) -> Vec<String> {
    let content = content(event);
    PLACES.into_iter().filter_map(|path| address(&content, path)).collect()
}

/// What an event says, as far as it has not been redacted.
pub(super) fn content(event: &StoredEvent) -> Map<String, Value> {
    let content = render::content(event).ok();
    content.and_then(|content| event_content::parse(&content).ok()).unwrap_or_default()
}

fn address(content: &Map<String, Value>, path: &[&str]) -> Option<String> {
    let (first, rest) = path.split_first()?;
    let found = rest.iter().try_fold(content.get(*first)?, |value, key| value.get(*key))?;
    found.as_str().filter(|text| text.starts_with("mxc://")).map(str::to_owned)
}
