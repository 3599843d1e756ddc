//! What a room says of itself to people who are not in it.

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, ServerName, UserId};
use axle_store::RoomDescription;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::ApiResult;
use crate::event_content;
use crate::render::content;
use crate::state::Api;
use crate::visibility::{StateKey, member_event, membership};

/// The state that [`Description`] is made of.
pub(crate) const TYPES: &[&str] = &[
    "m.room.create",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.encryption",
];

/// A room as the list of rooms shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Description {
    pub(crate) room_id: RoomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) canonical_alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
    pub(crate) num_joined_members: u64,
    pub(crate) join_rule: String,
    pub(crate) world_readable: bool,
    guest_can_join: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room_type: Option<String>,
    #[serde(skip)]
    room_version: &'static str,
    #[serde(skip)]
    encryption: Option<String>,
}

/// The same with what summaries and spaces tell besides.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Detailed {
    #[serde(flatten)]
    description: Description,
    room_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<String>,
}

impl From<Description> for Detailed {
    fn from(description: Description) -> Self {
        let (room_version, encryption) = (description.room_version, description.encryption.clone());
        Self { description, room_version, encryption }
    }
}

/// Describes rooms, in this order; those that are not known are left out.
pub(crate) async fn describe(api: &Api, room_ids: &[RoomId]) -> ApiResult<Vec<Description>> {
    let described = api.store.describe_rooms(room_ids, TYPES).await?;
    described.into_iter().map(Description::new).collect()
}

/// Describes one room.
pub(crate) async fn describe_one(api: &Api, room_id: &RoomId) -> ApiResult<Option<Description>> {
    Ok(describe(api, std::slice::from_ref(room_id)).await?.pop())
}

impl Description {
    fn new(room: RoomDescription) -> ApiResult<Self> {
        let mut state: Map<String, Value> = Map::new();
        for event in &room.state {
            let Some(key) = StateKey::of(event) else { continue };
            state.insert(key.event_type.into_owned(), Value::Object(event_content::parse(&content(event)?)?));
        }
        // An empty text is how clients take a name or an alias away.
        let text = |event_type: &str, key: &str| {
            let text = state.get(event_type).and_then(|content| content.get(key)).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let is = |event_type: &str, key: &str, value: &str| text(event_type, key).as_deref() == Some(value);
        Ok(Self {
            name: text("m.room.name", "name"),
            topic: text("m.room.topic", "topic"),
            canonical_alias: text("m.room.canonical_alias", "alias"),
            avatar_url: text("m.room.avatar", "url"),
            num_joined_members: room.joined_members,
            join_rule: text("m.room.join_rules", "join_rule").unwrap_or_else(|| "invite".into()),
            world_readable: is("m.room.history_visibility", "history_visibility", "world_readable"),
            guest_can_join: is("m.room.guest_access", "guest_access", "can_join"),
            room_type: text("m.room.create", "type"),
            room_version: room.room_version.as_str(),
            encryption: text("m.room.encryption", "algorithm"),
            room_id: room.room_id,
        })
    }

    /// Whether a user, or somebody who is not logged in, may see this: anyone may of a room that they could enter, or
    /// ask to, or read; of others only who is in it or invited.
    pub(crate) async fn is_for(&self, api: &Api, user_id: Option<&UserId>) -> ApiResult<bool> {
        if self.is_for_all() {
            return Ok(true);
        }
        let Some(user_id) = user_id else { return Ok(false) };
        let member = member_event(api, user_id, &self.room_id).await?;
        Ok(matches!(member.as_ref().and_then(membership), Some(Membership::Join | Membership::Invite)))
    }

    /// Whether another server may see this: of a room that not everybody may see, one that has users in it or invited.
    pub(crate) async fn is_for_server(&self, api: &Api, server: &ServerName) -> ApiResult<bool> {
        if self.is_for_all() {
            return Ok(true);
        }
        for membership in [Membership::Join, Membership::Invite] {
            let members = api.store.members(&self.room_id, membership).await?;
            if members.iter().any(|member| member.server_str() == server.as_str()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether anyone may see this.
    fn is_for_all(&self) -> bool {
        self.world_readable || matches!(self.join_rule.as_str(), "public" | "knock")
    }

    /// Whether the room is a space.
    pub(crate) fn is_space(&self) -> bool {
        self.room_type.as_deref() == Some("m.space")
    }
}
