//! The answer to a sync.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Event;
use crate::event::lenient;

/// What happened since the last sync.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct SyncResponse {
    /// Where the next sync goes on.
    pub next_batch: String,
    /// What happened in rooms.
    #[serde(default)]
    pub rooms: RoomUpdates,
    /// Messages from device to device.
    #[serde(default)]
    pub to_device: ToDevice,
    /// Whose devices have changed.
    #[serde(default)]
    pub device_lists: DeviceLists,
    /// One-time keys that this device has left on the server, by algorithm. A kind that is not named has none.
    #[serde(default)]
    pub device_one_time_keys_count: Option<BTreeMap<String, u64>>,
    /// Kinds of keys of last resort that were not given out yet.
    #[serde(default)]
    pub device_unused_fallback_key_types: Option<Vec<String>>,
}

/// Messages from device to device.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ToDevice {
    /// Oldest first.
    #[serde(deserialize_with = "lenient")]
    pub events: Vec<ToDeviceEvent>,
}

/// A message from a device to this one.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ToDeviceEvent {
    /// `type`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// `sender`, a user.
    pub sender: String,
    /// `content`.
    #[serde(default)]
    pub content: Map<String, Value>,
}

/// Whose devices have changed since the last sync.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DeviceLists {
    /// Users to be asked about again.
    pub changed: Vec<String>,
    /// Users with whom no room is shared any more.
    pub left: Vec<String>,
}

/// What happened in rooms, by the user's membership.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RoomUpdates {
    /// Rooms that the user is in.
    pub join: BTreeMap<String, JoinedRoom>,
    /// Rooms that the user is invited to.
    pub invite: BTreeMap<String, InvitedRoom>,
    /// Rooms that the user asked to be invited to.
    pub knock: BTreeMap<String, InvitedRoom>,
    /// Rooms that the user left or was put out of.
    pub leave: BTreeMap<String, LeftRoom>,
}

/// News of a room that the user is in.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct JoinedRoom {
    /// State before the timeline, or what of it changed.
    pub state: StateChunk,
    /// What was said.
    pub timeline: TimelineChunk,
    /// The server that orders the room, from servers that tell.
    #[serde(rename = "im.axle.hub_server")]
    pub hub_server: Option<String>,
    /// What it did that it should not have, since the last sync, from servers that tell.
    #[serde(rename = "im.axle.hub_faults", deserialize_with = "lenient")]
    pub hub_faults: Vec<HubFault>,
}

/// Something that the hub of a room did wrong. Users of the room should be warned.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HubFault {
    /// The event by which it showed.
    pub event_id: String,
    /// What kind of fault, in a word.
    pub kind: String,
    /// The same for people.
    pub detail: String,
    /// When it was noticed, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
}

/// A room that the user is not in yet, as far as others tell.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct InvitedRoom {
    /// Stripped state.
    #[serde(alias = "knock_state")]
    pub invite_state: StateChunk,
}

/// The end of a room.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LeftRoom {
    /// State before the timeline.
    pub state: StateChunk,
    /// The last that the user saw.
    pub timeline: TimelineChunk,
}

/// State events.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct StateChunk {
    /// The events.
    #[serde(deserialize_with = "lenient")]
    pub events: Vec<Event>,
}

/// A piece of a timeline.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TimelineChunk {
    /// Oldest first.
    #[serde(deserialize_with = "lenient")]
    pub events: Vec<Event>,
    /// Whether events between the last sync and these were left out.
    pub limited: bool,
    /// Where history before these begins.
    pub prev_batch: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_odd_hides_nothing_else() {
        let response: SyncResponse = serde_json::from_value(json!({
            "next_batch": "s1",
            "presence": {"events": []},
            "rooms": {
                "join": {"!a:x.test": {
                    "im.axle.hub_server": "x.test",
                    "timeline": {"limited": true, "prev_batch": "p", "events": [
                        {"type": "m.room.message", "sender": "@a:x.test", "event_id": "$1", "content": {"body": "hi"}},
                        {"type": 3},
                        "nonsense",
                    ]},
                }},
                "knock": {"!b:x.test": {"knock_state": {"events": [
                    {"type": "m.room.name", "state_key": "", "sender": "@a:x.test", "content": {"name": "B"}},
                ]}}},
            },
        }))
        .unwrap();
        let room = &response.rooms.join["!a:x.test"];
        assert_eq!(room.hub_server.as_deref(), Some("x.test"));
        assert_eq!(room.timeline.events.len(), 1);
        assert_eq!(room.timeline.events[0].text("body"), Some("hi"));
        assert_eq!(response.rooms.knock["!b:x.test"].invite_state.events[0].text("name"), Some("B"));
    }
}
