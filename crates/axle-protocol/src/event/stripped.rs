//! Stripped state ("Stripped State").

use serde_json::{Map, Value};

use super::Event;

/// What an invite or knock shows of a room.
pub const STRIPPED_STATE_TYPES: [&str; 7] = [
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
];

/// The event with only `sender`, `type`, `state_key` and `content`.
pub fn stripped(event: &Event) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("type".into(), event.event_type().into());
    map.insert("sender".into(), event.sender().as_str().into());
    map.insert("state_key".into(), event.state_key().unwrap_or_default().into());
    map.insert("content".into(), Value::Object(event.content().clone()));
    map
}
