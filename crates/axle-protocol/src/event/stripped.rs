//! Stripped state ("Stripped State").

use serde_json::{Map, Value};

use super::Event;
use crate::limits::MAX_ID_BYTES;

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

/// What another server says is stripped state, with nothing but the four fields; `None` if it is not. Whether it is
/// true nobody can tell.
pub fn parse_stripped(value: &Value) -> Option<Map<String, Value>> {
    let short = |key: &str| value.get(key)?.as_str().filter(|text| text.len() <= MAX_ID_BYTES);
    let (event_type, sender, state_key) = (short("type")?, short("sender")?, short("state_key")?);
    let content = value.get("content")?.as_object()?;
    Some(Map::from_iter([
        ("type".into(), event_type.into()),
        ("sender".into(), sender.into()),
        ("state_key".into(), state_key.into()),
        ("content".into(), Value::Object(content.clone())),
    ]))
}
