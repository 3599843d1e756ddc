//! Redaction: what of an event is signed, identified, and left when it is redacted ("Event Redactions").

use serde_json::{Map, Value};

use super::Event;
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
    let kept: &[&str] = match event_type {
        "m.room.create" => return content.clone(),
        "m.room.member" => &["membership"],
        "m.room.join_rules" => &["join_rule"],
        "m.room.power_levels" => {
            &["ban", "events", "events_default", "invite", "kick", "redact", "state_default", "users", "users_default"]
        }
        "m.room.history_visibility" => &["history_visibility"],
        _ => &[],
    };
    kept.iter().filter_map(|key| Some(((*key).to_owned(), content.get(*key)?.clone()))).collect()
}

pub(super) fn is_kept_field(key: &str) -> bool {
    KEPT_FIELDS.contains(&key)
}

/// The canonical form of redacted content.
pub(super) fn redacted_content_json(event_type: &str, content: &Map<String, Value>) -> String {
    if content.is_empty() {
        return "{}".into();
    }
    canonical_json::object_to_string(&redact_content(event_type, content))
}

impl Event {
    /// The redacted copy: same id, same signatures, content hashes that no longer match.
    pub fn redacted(&self) -> Event {
        let content = redacted_content_json(self.event_type(), self.content());
        let mut fields = self.0.fields.clone();
        fields.set("content", &content);
        let json = fields.write(|key, text| is_kept_field(key).then_some(text));
        // Redacting takes fields away that no schema demands, so what is left still parses.
        Event::parse(json.as_bytes(), self.version()).unwrap_or_else(|_| self.clone())
    }
}
