//! Replacing a room by a new one ("Room upgrades").

use axle_protocol::auth::{Membership, PowerLevels};
use axle_protocol::{MatrixError, RoomId, RoomVersion, UserId};
use axle_store::{Direction, StoredEvent};
use serde_json::{Map, Value, json};

use crate::aliases::{self, CANONICAL_ALIAS};
use crate::error::ApiResult;
use crate::event_content;
use crate::new_room::{POWER_LEVELS, StateEvents};
use crate::power;
use crate::profile;
use crate::render::content;
use crate::room_id::new_room_id;
use crate::service::{CreateRoom, SendEvent};
use crate::state::Api;
use crate::succession;
use crate::visibility::{StateKey, membership};

/// The event that ends a room.
pub(crate) const TOMBSTONE: &str = "m.room.tombstone";

/// State that the new room has from the old one, in the order in which it is sent.
const COPIED: [&str; 8] = [
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
];
/// The level that sending and inviting need in a room that has been replaced, at least.
const LEVEL_OF_A_REPLACED_ROOM: i64 = 50;

/// The room in whose favour an event with this content ends another.
pub(crate) fn replacement(event_type: &str, content: &Map<String, Value>) -> Option<RoomId> {
    let replacement = content.get("replacement_room").filter(|_| event_type == TOMBSTONE)?;
    RoomId::parse(replacement.as_str()?).ok()
}

/// Refuses to end a room in favour of itself: clients would go in circles. 400 `M_INVALID_PARAM`.
pub(crate) fn check(room_id: &RoomId, event_type: &str, content: &Map<String, Value>) -> Result<(), MatrixError> {
    match replacement(event_type, content) {
        Some(replacement) if replacement == *room_id => {
            Err(MatrixError::invalid_param("A room cannot be replaced by itself."))
        }
        _ => Ok(()),
    }
}

/// Makes the new room, ends the old one, and gives the new one its aliases and its place on the list.
pub(crate) async fn replace(api: &Api, user_id: &UserId, old: &RoomId, version: RoomVersion) -> ApiResult<RoomId> {
    let new = new_room_id(&api.config.server_name)?;
    let own_aliases = api.store.room_aliases(old).await?;
    let room = CreateRoom {
        room_id: new.clone(),
        creator: user_id.clone(),
        creator_profile: profile::member_content(api, user_id).await?,
        room_version: Some(version),
        creation_content: creation_content(api, old).await?,
        initial_state: initial_state(api, user_id, old, &own_aliases).await?,
        invites: Vec::new(),
    };
    api.rooms.create_room(room).await?;
    let body = "This room has been replaced.";
    let tombstone = object(json!({"body": body, "replacement_room": new}));
    if let Err(error) = api.rooms.send(state(user_id, old, TOMBSTONE, tombstone)).await {
        // Nobody knows of the new room; let it end with its only member.
        if let Err(error) = api.rooms.leave(user_id, &new, Map::new()).await {
            tracing::warn!(room_id = %new, %error, "a room that replaces none was not left");
        }
        return Err(error.into());
    }
    api.store.move_directory_entries(old, &new).await?;
    if !own_aliases.is_empty() && api.store.state_event(old, CANONICAL_ALIAS, "").await?.is_some() {
        aliases::send_canonical(api, user_id, old, Map::new()).await;
    }
    quieten(api, user_id, old).await?;
    succession::follow(api, user_id, &new).await;
    Ok(new)
}

/// The old room's type, whether it is for this server only, and which room it was.
async fn creation_content(api: &Api, old: &RoomId) -> ApiResult<Map<String, Value>> {
    let last = api.store.timeline(old, None, Direction::Backward, 1).await?.pop();
    let mut predecessor = object(json!({"room_id": old}));
    if let Some(last) = last {
        predecessor.insert("event_id".into(), last.event_id.as_str().into());
    }
    let mut creation = Map::from_iter([("predecessor".to_owned(), Value::Object(predecessor))]);
    if let Some(create) = api.store.state_event(old, "m.room.create", "").await? {
        let mut create = parse(&create)?;
        let kept = ["type", "m.federate"].into_iter();
        creation.extend(kept.filter_map(|key| Some((key.to_owned(), create.remove(key)?))));
    }
    Ok(creation)
}

async fn initial_state(api: &Api, user_id: &UserId, old: &RoomId, own_aliases: &[String]) -> ApiResult<StateEvents> {
    let mut events = StateEvents::new();
    let levels = power::content_of(api, old).await?;
    if let Some(levels) = &levels {
        events.push((POWER_LEVELS.into(), String::new(), raised(levels, user_id)));
    }
    if let Some(canonical) = api.store.state_event(old, CANONICAL_ALIAS, "").await? {
        let canonical = aliases::only(parse(&canonical)?, own_aliases);
        events.push((CANONICAL_ALIAS.into(), String::new(), canonical));
    }
    for event_type in COPIED {
        if let Some(event) = api.store.state_event(old, event_type, "").await? {
            events.push((event_type.into(), String::new(), parse(&event)?));
        }
    }
    for child in api.store.state_of_type(old, "m.space.child").await? {
        push_keyed(&mut events, &child)?;
    }
    for member in api.store.state_of_type(old, "m.room.member").await? {
        if membership(&member) == Some(Membership::Ban) {
            push_keyed(&mut events, &member)?;
        }
    }
    // Who replaces the room needs more power while it is made than they have in it afterwards.
    if let Some(levels) = levels.filter(|levels| raised(levels, user_id) != *levels) {
        events.push((POWER_LEVELS.into(), String::new(), levels));
    }
    Ok(events)
}

fn push_keyed(events: &mut StateEvents, event: &StoredEvent) -> ApiResult<()> {
    if let Some(key) = StateKey::of(event) {
        events.push((key.event_type.into_owned(), key.state_key.into_owned(), parse(event)?));
    }
    Ok(())
}

/// Power levels by which a user can send all the state of a new room.
fn raised(content: &Map<String, Value>, user_id: &UserId) -> Map<String, Value> {
    let levels = PowerLevels::from_content(content);
    let needed = levels.events.values().copied().chain([levels.state_default(), levels.events_default(), levels.ban()]);
    let others = levels.users.values().copied().chain([levels.users_default()]);
    let needed = needed.chain(others).max().unwrap_or_default();
    let mut raised = content.clone();
    if levels.user(user_id.as_str()) < needed {
        let users = raised.entry("users").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(users) = users {
            users.insert(user_id.to_string(), needed.into());
        }
    }
    raised
}

/// Keeps people from going on in the old room, as far as the user may do that.
async fn quieten(api: &Api, user_id: &UserId, old: &RoomId) -> ApiResult<()> {
    let Some(mut content) = power::content_of(api, old).await? else { return Ok(()) };
    let levels = PowerLevels::from_content(&content);
    let level = LEVEL_OF_A_REPLACED_ROOM.max(levels.users_default().saturating_add(1));
    content.insert("events_default".into(), levels.events_default().max(level).into());
    content.insert("invite".into(), levels.invite().max(level).into());
    if let Err(error) = api.rooms.send(state(user_id, old, POWER_LEVELS, content)).await {
        tracing::info!(room_id = %old, %error, "a room that was replaced keeps its power levels");
    }
    Ok(())
}

fn state(user_id: &UserId, room_id: &RoomId, event_type: &str, content: Map<String, Value>) -> SendEvent {
    SendEvent {
        room_id: room_id.clone(),
        sender: user_id.clone(),
        event_type: event_type.into(),
        state_key: Some(String::new()),
        content,
        txn: None,
    }
}

fn parse(event: &StoredEvent) -> ApiResult<Map<String, Value>> {
    Ok(event_content::parse(&content(event)?)?)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
