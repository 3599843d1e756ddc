//! The rooms of a space ("Spaces").

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use axle_protocol::{MatrixError, RoomId, ServerName, UserId};
use ruma::events::AnyStrippedStateEvent;
use ruma::serde::Raw;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::error::ApiResult;
use crate::remote_rooms;
use crate::render::{content, origin_server_ts, stripped_with_time};
use crate::room_description::{self, Detailed};
use crate::state::Api;
use crate::visibility::{StateKey, not_in_room};

/// Rooms of a space that are told of, all pages together.
const MAX_ROOMS: usize = 1_000;
/// How long one request waits for other servers that are asked about rooms.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Servers of a child that may be asked about it.
const MAX_VIA: usize = 10;
/// The type of rooms that have others in them.
const SPACE: &str = "m.space";
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
    description: Told,
    children_state: Vec<Raw<AnyStrippedStateEvent>>,
}

/// What is told of a room.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Told {
    /// By this server, which knows it.
    Own(Box<Detailed>),
    /// By another one.
    Remote(Map<String, Value>),
}

/// Part of a space's rooms.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) rooms: Vec<SpaceRoom>,
    /// Whether there may be more.
    pub(crate) more: bool,
}

/// A room that is still to be looked at.
struct Waiting {
    room_id: RoomId,
    depth: u64,
    /// Servers that can be asked about it.
    via: Vec<ServerName>,
    /// What the server that told of the space told of this room.
    told: Option<Map<String, Value>>,
}

/// A room that was looked at.
struct Found {
    description: Told,
    children: Vec<Child>,
    /// What was told of the children.
    known: HashMap<RoomId, Map<String, Value>>,
}

/// Walks through a space, depth first, children in their order; what the user may not see is left out, with what is
/// below it. Other servers are asked about rooms that are not known here. 403 if the user may not see the space itself.
pub(crate) async fn walk(api: &Api, user_id: &UserId, space: &RoomId, wanted: Wanted) -> ApiResult<Part> {
    let deadline = Instant::now() + MAX_WAIT;
    let mut part = Part::default();
    let mut seen = HashSet::new();
    let mut count = 0_usize;
    let mut waiting = vec![Waiting { room_id: space.clone(), depth: 0, via: vec![space.server_name()], told: None }];
    while let Some(next) = waiting.pop() {
        if !seen.insert(next.room_id.clone()) {
            continue;
        }
        if count >= MAX_ROOMS {
            break;
        }
        let depth = next.depth;
        // Other servers were waited for so long that the client gets what there is.
        if !part.rooms.is_empty() && Instant::now() >= deadline {
            part.more = true;
            break;
        }
        let Some(mut found) = look_at(api, user_id, next, wanted.suggested_only, deadline).await? else {
            if depth == 0 {
                return Err(not_in_room().into());
            }
            continue;
        };
        if part.rooms.len() == wanted.limit {
            part.more = true;
            break;
        }
        if wanted.max_depth.is_none_or(|most| depth < most) {
            waiting.extend(found.children.iter().rev().map(|child| Waiting {
                room_id: child.room_id.clone(),
                depth: depth + 1,
                via: child.via.clone(),
                told: found.known.remove(&child.room_id),
            }));
        }
        if count >= wanted.skip {
            let children_state = found.children.into_iter().map(|child| child.event).collect();
            part.rooms.push(SpaceRoom { description: found.description, children_state });
        }
        count += 1;
    }
    Ok(part)
}

/// What the user may see of a room.
async fn look_at(
    api: &Api,
    user_id: &UserId,
    room: Waiting,
    suggested_only: bool,
    deadline: Instant,
) -> ApiResult<Option<Found>> {
    if let Some(description) = room_description::describe_one(api, &room.room_id).await? {
        if !description.is_for(api, Some(user_id)).await? {
            return Ok(None);
        }
        let children = match description.is_space() {
            true => children(api, &room.room_id, suggested_only).await?,
            false => Vec::new(),
        };
        let description = Told::Own(Box::new(description.into()));
        return Ok(Some(Found { description, children, known: HashMap::new() }));
    }
    // Of a room that is no space all was told by who told of its parent.
    let found = match room.told.filter(|told| told.get("room_type").and_then(Value::as_str) != Some(SPACE)) {
        Some(summary) => (summary, Vec::new(), HashMap::new()),
        None => match remote_rooms::ask(api, &room.room_id, &room.via, suggested_only, deadline).await {
            Some(told) => {
                let mut children = told.children.clone();
                // Nobody tells this server of what it may not know.
                children
                    .iter_mut()
                    .filter(|child| told.hidden.contains(&child.room_id))
                    .for_each(|child| child.via.clear());
                (told.summary.clone(), children, told.known.clone())
            }
            None => return Ok(None),
        },
    };
    let (summary, children, known) = found;
    let is_for = remote_rooms::is_for(api, user_id, &room.room_id, &summary).await?;
    Ok(is_for.then_some(Found { description: Told::Remote(summary), children, known }))
}

/// A room that a space names.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) room_id: RoomId,
    via: Vec<ServerName>,
    order: Option<String>,
    at: i64,
    /// As clients see it.
    pub(crate) event: Raw<AnyStrippedStateEvent>,
}

#[derive(Deserialize)]
struct ChildContent {
    via: Vec<String>,
    #[serde(default)]
    order: Value,
    #[serde(default)]
    suggested: Value,
}

impl Child {
    /// Out of an event's content; `None`: it names no room, or no server and so no child, or none any more.
    fn of(state_key: &str, content: &str, at: i64, event: Raw<AnyStrippedStateEvent>) -> Option<(Self, ChildContent)> {
        let room_id = RoomId::parse(state_key).ok()?;
        let content = serde_json::from_str::<ChildContent>(content).ok().filter(|content| !content.via.is_empty())?;
        let via = content.via.iter().take(MAX_VIA).filter_map(|server| ServerName::parse(server).ok()).collect();
        let order = content.order.as_str().filter(|order| is_order(order)).map(str::to_owned);
        Some((Self { room_id, via, order, at, event }, content))
    }

    /// Out of a stripped event that another server told.
    pub(crate) fn told(event: Value) -> Option<Self> {
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        if text("type") != Some("m.space.child") || UserId::parse(text("sender")?).is_err() {
            return None;
        }
        let at = event.get("origin_server_ts")?.as_i64()?;
        let (state_key, content) = (text("state_key")?, event.get("content")?);
        let fields = ["content", "origin_server_ts", "sender", "state_key", "type"];
        let kept: Map<String, Value> =
            fields.iter().filter_map(|name| Some(((*name).to_owned(), event.get(*name)?.clone()))).collect();
        let raw = Raw::from_json(serde_json::value::to_raw_value(&kept).ok()?);
        Self::of(state_key, &content.to_string(), at, raw).map(|(child, _)| child)
    }

    /// The order of a space's children. Those with an order come first.
    pub(crate) fn compare(a: &Self, b: &Self) -> Ordering {
        let by_order = match (&a.order, &b.order) {
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        by_order.then(a.at.cmp(&b.at)).then_with(|| a.room_id.as_str().cmp(b.room_id.as_str()))
    }
}

/// The children of a space, in their order.
pub(crate) async fn children(api: &Api, space: &RoomId, suggested_only: bool) -> ApiResult<Vec<Child>> {
    let mut children = Vec::new();
    for event in api.store.state_of_type(space, "m.space.child").await? {
        let Some(key) = StateKey::of(&event) else { continue };
        let (content, at, stripped) = (content(&event)?, origin_server_ts(&event)?, stripped_with_time(&event)?);
        let child = Child::of(&key.state_key, content.get(), at, stripped);
        let is_wanted = |content: &ChildContent| !suggested_only || content.suggested == Value::Bool(true);
        children.extend(child.filter(|(_, content)| is_wanted(content)).map(|(child, _)| child));
    }
    children.sort_by(Child::compare);
    Ok(children)
}

fn is_order(text: &str) -> bool {
    text.chars().count() <= MAX_ORDER_CHARS && text.chars().all(|letter| matches!(letter, '\x20'..='\x7e'))
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
