//! `GET /_synapse/admin/v1/rooms/{roomId}`

use std::cmp::Reverse;

use axle_protocol::RoomId;
use axle_protocol::auth::Membership;
use axle_store::{RoomDescription, StoredEvent};
use axum::response::Response;
use http::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{admin, no_such_room, room_id};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::event_content;
use crate::json_response::JsonResponse;
use crate::render;
use crate::room_description;
use crate::state::Api;

pub(super) const PATHS: [&str; 1] = ["/_synapse/admin/v1/rooms/{room_id}"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &PATHS, room_get)
}

/// A room as administrators see it.
#[derive(Serialize)]
pub(super) struct Described {
    pub(super) room_id: RoomId,
    name: Option<String>,
    topic: Option<String>,
    avatar: Option<String>,
    canonical_alias: Option<String>,
    joined_members: u64,
    joined_local_members: usize,
    version: &'static str,
    creator: Option<String>,
    encryption: Option<String>,
    /// Linearized rooms are for every server.
    federatable: bool,
    public: bool,
    join_rules: Option<String>,
    guest_access: Option<String>,
    history_visibility: Option<String>,
    /// How many entries the state has.
    state_events: u64,
    room_type: Option<String>,
}

/// What rooms are ordered by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Text(Option<String>),
    Is(bool),
    /// The most come first.
    Count(Reverse<u64>),
}

impl Described {
    /// What rooms are ordered by in this field, which the list of rooms does not have anyway.
    pub(super) fn key(field: &str) -> Option<fn(&Self) -> Key> {
        Some(match field {
            "canonical_alias" => |room| Key::Text(room.canonical_alias.clone()),
            "joined_local_members" => |room| Key::Count(Reverse(room.joined_local_members as u64)),
            "creator" => |room| Key::Text(room.creator.clone()),
            "encryption" => |room| Key::Text(room.encryption.clone()),
            "federatable" => |room| Key::Is(room.federatable),
            "public" => |room| Key::Is(room.public),
            "join_rules" => |room| Key::Text(room.join_rules.clone()),
            "guest_access" => |room| Key::Text(room.guest_access.clone()),
            "history_visibility" => |room| Key::Text(room.history_visibility.clone()),
            "state_events" => |room| Key::Count(Reverse(room.state_events)),
            _ => return None,
        })
    }
}

async fn room_get(api: Api, request: RawRequest) -> ApiResult<Response> {
    let room_id = room_id(&request)?;
    let described = describe(&api, &[room_id]).await?.pop();
    Ok(respond(JsonResponse(described.ok_or_else(no_such_room)?)))
}

/// Describes rooms; those that are not known are left out, the order is kept.
pub(super) async fn describe(api: &Api, room_ids: &[RoomId]) -> ApiResult<Vec<Described>> {
    let mut described = Vec::with_capacity(room_ids.len());
    for room in api.store.describe_rooms(room_ids, room_description::TYPES).await? {
        described.push(of_room(api, room).await?);
    }
    Ok(described)
}

async fn of_room(api: &Api, room: RoomDescription) -> ApiResult<Described> {
    let server = api.config.server_name.as_str();
    let members = api.store.members(&room.room_id, Membership::Join).await?;
    let state = State(&room.state);
    Ok(Described {
        name: state.text("m.room.name", "name")?,
        topic: state.text("m.room.topic", "topic")?,
        avatar: state.text("m.room.avatar", "url")?,
        canonical_alias: state.text("m.room.canonical_alias", "alias")?,
        joined_members: room.joined_members,
        joined_local_members: members.iter().filter(|member| member.server_str() == server).count(),
        version: room.room_version.as_str(),
        creator: state.event("m.room.create").and_then(render::sender),
        encryption: state.text("m.room.encryption", "algorithm")?,
        federatable: true,
        public: api.store.is_listed(&room.room_id).await?,
        join_rules: state.text("m.room.join_rules", "join_rule")?,
        guest_access: state.text("m.room.guest_access", "guest_access")?,
        history_visibility: state.text("m.room.history_visibility", "history_visibility")?,
        state_events: api.store.count_state(&room.room_id).await?,
        room_type: state.text("m.room.create", "type")?,
        room_id: room.room_id,
    })
}

/// Entries of a room's state with an empty state key.
struct State<'a>(&'a [StoredEvent]);

impl State<'_> {
    fn event(&self, event_type: &str) -> Option<&StoredEvent> {
        self.0.iter().find(|event| render::event_type(event).as_deref() == Some(event_type))
    }

    fn text(&self, event_type: &str, key: &str) -> ApiResult<Option<String>> {
        let Some(event) = self.event(event_type) else { return Ok(None) };
        let content: Map<String, Value> = event_content::parse(&render::content(event)?)?;
        Ok(content.get(key).and_then(Value::as_str).map(str::to_owned))
    }
}
