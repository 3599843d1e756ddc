//! The rooms of a space ("Spaces").

use std::cmp::Ordering;
use std::collections::HashSet;

use axle_protocol::{MatrixError, RoomId, UserId};
use axle_store::StoredEvent;
use ruma::events::AnyStrippedStateEvent;
use ruma::serde::Raw;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ApiResult;
use crate::render::{content, origin_server_ts, stripped_with_time};
use crate::room_description::{self, Detailed};
use crate::state::Api;
use crate::visibility::{StateKey, not_in_room};

/// Rooms of a space that are told of, all pages together.
const MAX_ROOMS: usize = 1_000;
/// The longest `order` that counts, in characters.
const MAX_ORDER_CHARS: usize = 50;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Rooms that the client has already.
    pub(crate) skip: usize,
    pub(crate) limit: usize,
    /// How many steps from the space; `None`: all.
    pub(crate) max_depth: Option<u64>,
    /// Only children that are suggested.
    pub(crate) suggested_only: bool,
}

/// A room of a space.
#[derive(Debug, Serialize)]
pub(crate) struct SpaceRoom {
    #[serde(flatten)]
    description: Detailed,
    children_state: Vec<Raw<AnyStrippedStateEvent>>,
}

/// Part of a space's rooms.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) rooms: Vec<SpaceRoom>,
    /// Whether there may be more.
    pub(crate) more: bool,
}

/// Walks through a space, depth first, children in their order; what the user may not see is left out, with what is
/// below it. 403 if they may not see the space itself.
pub(crate) async fn walk(api: &Api, user_id: &UserId, space: &RoomId, wanted: Wanted) -> ApiResult<Part> {
    let mut part = Part::default();
    let mut seen = HashSet::new();
    let mut found = 0_usize;
    let mut waiting = vec![(space.clone(), 0_u64)];
    while let Some((room_id, depth)) = waiting.pop() {
        if !seen.insert(room_id.clone()) {
            continue;
        }
        if found >= MAX_ROOMS {
            break;
        }
        let description = match room_description::describe_one(api, &room_id).await? {
            Some(description) if description.is_for(api, Some(user_id)).await? => description,
            _ if depth == 0 => return Err(not_in_room().into()),
            _ => continue,
        };
        if part.rooms.len() == wanted.limit {
            part.more = true;
            break;
        }
        let children =
            if description.is_space() { children(api, &room_id, wanted.suggested_only).await? } else { Vec::new() };
        if wanted.max_depth.is_none_or(|most| depth < most) {
            waiting.extend(children.iter().rev().map(|child| (child.room_id.clone(), depth + 1)));
        }
        if found >= wanted.skip {
            let children_state =
                children.iter().map(|child| stripped_with_time(&child.event)).collect::<Result<_, _>>()?;
            part.rooms.push(SpaceRoom { description: description.into(), children_state });
        }
        found += 1;
    }
    Ok(part)
}

/// A room that a space names.
struct Child {
    room_id: RoomId,
    order: Option<String>,
    at: i64,
    event: StoredEvent,
}

#[derive(Deserialize)]
struct ChildContent {
    via: Vec<String>,
    #[serde(default)]
    order: Value,
    #[serde(default)]
    suggested: Value,
}

/// The children of a space, in their order.
async fn children(api: &Api, space: &RoomId, suggested_only: bool) -> ApiResult<Vec<Child>> {
    let mut children = Vec::new();
    for event in api.store.state_of_type(space, "m.space.child").await? {
        let Some(room_id) = StateKey::of(&event).and_then(|key| RoomId::parse(&key.state_key).ok()) else { continue };
        // What names no server is no child, or none any more.
        let Ok(content) = serde_json::from_str::<ChildContent>(content(&event)?.get()) else { continue };
        if content.via.is_empty() || (suggested_only && content.suggested != Value::Bool(true)) {
            continue;
        }
        let order = content.order.as_str().filter(|order| is_order(order)).map(str::to_owned);
        children.push(Child { room_id, order, at: origin_server_ts(&event)?, event });
    }
    children.sort_by(compare);
    Ok(children)
}

fn is_order(text: &str) -> bool {
    text.chars().count() <= MAX_ORDER_CHARS && text.chars().all(|letter| matches!(letter, '\x20'..='\x7e'))
}

/// Those with an order come first.
fn compare(a: &Child, b: &Child) -> Ordering {
    let by_order = match (&a.order, &b.order) {
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    };
    by_order.then(a.at.cmp(&b.at)).then_with(|| a.room_id.as_str().cmp(b.room_id.as_str()))
}

/// Where the next page of a space begins. It belongs to the same question.
pub(crate) fn token(wanted: &Wanted) -> String {
    let depth = wanted.max_depth.map_or_else(|| "-".to_owned(), |depth| depth.to_string());
    format!("h1_{}_{depth}_{}", wanted.skip + wanted.limit, u8::from(wanted.suggested_only))
}

/// The number of rooms that the client has already, if the token belongs to the question.
pub(crate) fn parse_token(token_text: &str, wanted: &Wanted) -> Result<usize, MatrixError> {
    let refused = || MatrixError::invalid_param("This token does not belong to this question.");
    let skip = token_text.strip_prefix("h1_").and_then(|text| text.split('_').next()?.parse::<usize>().ok());
    let skip = skip.filter(|skip| *skip <= MAX_ROOMS).ok_or_else(refused)?;
    let same = token(&Wanted { skip, limit: 0, ..*wanted }) == token_text;
    if same { Ok(skip) } else { Err(refused()) }
}
