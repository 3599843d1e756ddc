//! Redaction: what of an event is signed, identified, and left when it is redacted ("Event Redactions").

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::{Event, Inner};
use crate::canonical_json;

/// Top-level fields that survive.
const KEPT_FIELDS: [&str; 11] = [
    "type",
    "room_id",
    "sender",
    "state_key",
    "content",
    "origin_server_ts",
    "hashes",
    "signatures",
    "prev_events",
    "auth_events",
    "hub_server",
];

/// The content that is left of an event of this type.
pub fn redact_content(event_type: &str, content: &Map<String, Value>) -> Map<String, Value> {
    match kept_content(event_type) {
        Kept::All => content.clone(),
        Kept::Only(kept) => content
            .iter()
            .filter(|(key, _)| kept.contains(&key.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
    }
}

/// Fields of `content` that survive.
enum Kept {
    All,
    Only(&'static [&'static str]),
}

fn kept_content(event_type: &str) -> Kept {
    Kept::Only(match event_type {
        "m.room.create" => return Kept::All,
        "m.room.member" => &["membership"],
        "m.room.join_rules" => &["join_rule"],
        "m.room.power_levels" => {
            &["ban", "events", "events_default", "invite", "kick", "redact", "state_default", "users", "users_default"]
        }
        "m.room.history_visibility" => &["history_visibility"],
        _ => &[],
    })
}

pub(super) fn is_kept_field(key: &str) -> bool {
    KEPT_FIELDS.contains(&key)
}

/// The canonical form of redacted content.
pub(super) fn redacted_content_json(event_type: &str, content: &Map<String, Value>) -> Cow<'static, str> {
    match kept_content(event_type) {
        Kept::Only([]) => Cow::Borrowed("{}"),
        Kept::Only(kept) => Cow::Owned(canonical_json::object_to_string_where(content, |key| kept.contains(&key))),
        Kept::All => Cow::Owned(canonical_json::object_to_string(content)),
    }
}

impl Event {
    /// The redacted copy: same id, same signatures, content hashes that no longer match.
    pub fn redacted(&self) -> Event {
        let was = &*self.0;
        let mut fields = was.fields.clone();
        fields.set("content", &was.redacted_content);
        Event(Arc::new(Inner {
            version: was.version,
            kind: was.kind,
            exact: None,
            event_id: OnceLock::from(self.event_id().clone()),
            room_id: was.room_id.clone(),
            event_type: was.event_type.clone(),
            state_key: was.state_key.clone(),
            sender: was.sender.clone(),
            origin_server_ts: was.origin_server_ts,
            hub_server: was.hub_server.clone(),
            content: Arc::new(redact_content(&was.event_type, &was.content)),
            redacted_content: was.redacted_content.clone(),
            auth_events: was.auth_events.clone(),
            prev_events: was.prev_events.clone(),
            claimed: was.claimed.clone(),
            signatures: was.signatures.clone(),
            fields: fields.compact(is_kept_field),
        }))
    }
}
