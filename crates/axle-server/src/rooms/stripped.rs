//! Stripped state: what an invite or a knock shows of a room.

use std::sync::Arc;

use axle_protocol::event::{STRIPPED_STATE_TYPES, stripped};
use axle_protocol::{Event, RoomId};
use axle_store::{Store, StoreError, StoredEvent};
use serde_json::{Map, Value};

/// Events of another server's stripped state that are kept.
const MAX_EVENTS: usize = 50;
/// Bytes of another server's stripped state that are kept.
const MAX_BYTES: usize = 65_536;
/// What a stripped event has.
const FIELDS: [&str; 4] = ["type", "sender", "state_key", "content"];

/// The stripped state of a room, with the member event of `member` so that people see who invites.
pub(crate) async fn state(store: &dyn Store, room_id: &RoomId, member: &str) -> Result<Vec<Value>, StoreError> {
    let keys = STRIPPED_STATE_TYPES.iter().map(|kind| (*kind, "")).chain([("m.room.member", member)]);
    let mut state = Vec::new();
    for (event_type, state_key) in keys {
        let stored = store.state_event(room_id, event_type, state_key).await?;
        state.extend(stored.as_ref().and_then(strip));
    }
    Ok(state)
}

/// What another server told, cut to what may be in it, as JSON.
pub(crate) fn received(told: &[Value]) -> Arc<str> {
    let events: Vec<Value> = told.iter().take(MAX_EVENTS).filter_map(cut).collect();
    let json = Value::Array(events).to_string();
    if json.len() > MAX_BYTES { "[]".into() } else { json.into() }
}

fn strip(stored: &StoredEvent) -> Option<Value> {
    let event = Event::parse(stored.json.as_bytes(), stored.room_version).ok()?;
    let event = if stored.redacted_by.is_some() { event.redacted() } else { event };
    Some(Value::Object(stripped(&event)))
}

fn cut(event: &Value) -> Option<Value> {
    let event = event.as_object()?;
    let is_text = |field: &str| event.get(field).is_some_and(Value::is_string);
    let is_whole = FIELDS[..3].iter().all(|field| is_text(field)) && event.get("content")?.is_object();
    let kept = FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), event.get(*field)?.clone())));
    is_whole.then(|| Value::Object(kept.collect::<Map<_, _>>()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_well_formed_events_and_known_fields_are_kept() {
        let told = [
            json!({"type": "m.room.name", "sender": "@a:b.test", "state_key": "", "content": {"name": "N"}, "x": 1}),
            json!({"type": "m.room.name", "sender": "@a:b.test", "state_key": ""}),
            json!("m.room.name"),
        ];
        let kept: Vec<Value> = serde_json::from_str(&received(&told)).unwrap();
        let whole = json!({"type": "m.room.name", "sender": "@a:b.test", "state_key": "", "content": {"name": "N"}});
        assert_eq!(kept, [whole]);
    }

    #[test]
    fn too_much_is_dropped() {
        let long = "x".repeat(MAX_BYTES);
        let event = json!({"type": "m.room.name", "sender": "@a:b.test", "state_key": "", "content": {"name": long}});
        assert_eq!(&*received(&[event]), "[]");
    }
}
