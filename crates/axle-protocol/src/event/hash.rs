//! Hashes and the bytes they cover ("Hashes").

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::fields::Fields;
use super::redact::{is_kept_field, redacted_content_json};
use super::{Event, Hash};
use crate::id::EventId;
use crate::{base64, canonical_json};

/// SHA-256.
pub fn sha256(bytes: impl AsRef<[u8]>) -> Hash {
    Sha256::digest(bytes).into()
}

/// `{"sha256":"..."}`.
pub(super) fn hash_object(hash: &Hash) -> String {
    format!("{{\"sha256\":\"{}\"}}", base64::encode(hash))
}

/// What an LPDU's hash covers: the LPDU without `signatures` and `hashes`.
pub(super) fn lpdu_hash_input(fields: &Fields) -> String {
    fields.write(|key, text| match key {
        "signatures" | "hashes" | "auth_events" | "prev_events" => None,
        _ => Some(text),
    })
}

/// What a PDU's content hash covers: the PDU without `signatures`, with `hashes` cut to `lpdu`.
pub(super) fn content_hash_input(fields: &Fields, lpdu_hashes: Option<&str>) -> String {
    fields.write(|key, text| match key {
        "signatures" => None,
        "hashes" => lpdu_hashes,
        _ => Some(text),
    })
}

/// What is signed and identified: the redacted event without `signatures`.
pub(super) fn redacted_input(fields: &Fields, redacted_content: &str) -> String {
    fields.write(|key, text| match key {
        "signatures" => None,
        "content" => Some(redacted_content),
        _ => is_kept_field(key).then_some(text),
    })
}

/// What a participant signed: the redacted LPDU of an LPDU or of a PDU made from one.
pub(super) fn redacted_lpdu_input(fields: &Fields, redacted_content: &str, lpdu_hashes: &str) -> String {
    fields.write(|key, text| match key {
        "signatures" | "auth_events" | "prev_events" => None,
        "hashes" => Some(lpdu_hashes),
        "content" => Some(redacted_content),
        _ => is_kept_field(key).then_some(text),
    })
}

/// The id that JSON has as an event, whether it is one or not: so that a sender can be told which of its events is
/// malformed. `None` if it is not an object.
pub fn reference_id(bytes: &[u8]) -> Option<EventId> {
    let object = canonical_json::parse_object(bytes).ok()?;
    let event_type = object.get("type").and_then(Value::as_str).unwrap_or_default();
    let redacted_content = match object.get("content") {
        Some(Value::Object(content)) => redacted_content_json(event_type, content),
        _ => "{}".into(),
    };
    let input = redacted_input(&Fields::of(&object, bytes.len()), &redacted_content);
    Some(EventId::from_reference_hash(&sha256(input)))
}

impl Event {
    /// The bytes that the LPDU hash covers, of an LPDU or of a PDU made from one.
    pub fn lpdu_hash_input(&self) -> String {
        lpdu_hash_input(&self.0.fields)
    }

    /// The LPDU hash as computed from the event.
    pub fn computed_lpdu_hash(&self) -> Hash {
        sha256(self.lpdu_hash_input())
    }

    /// The bytes that the content hash covers.
    pub fn content_hash_input(&self) -> String {
        content_hash_input(&self.0.fields, self.0.claimed.lpdu_json.as_deref())
    }

    /// The content hash as computed from the event.
    pub fn computed_content_hash(&self) -> Hash {
        sha256(self.content_hash_input())
    }

    /// The bytes that the reference hash covers and that servers sign.
    pub fn redacted_input(&self) -> String {
        redacted_input(&self.0.fields, &self.0.redacted_content)
    }

    /// The bytes that a participant signed as an LPDU; `None` where there is no LPDU hash.
    pub fn redacted_lpdu_input(&self) -> Option<String> {
        let hashes = self.0.claimed.lpdu_json.as_deref()?;
        Some(redacted_lpdu_input(&self.0.fields, &self.0.redacted_content, hashes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room_version::RoomVersion;

    const EVENT: &str = r#"{"auth_events":[],"content":{"room_version":"I.1"},"hashes":{"sha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"origin_server_ts":1,"prev_events":[],"room_id":"!r:a.test","sender":"@u:a.test","signatures":{},"state_key":"","type":"m.room.create"}"#;

    #[test]
    fn a_malformed_event_has_the_id_that_its_sender_computes() {
        let event = Event::parse(EVENT.as_bytes(), RoomVersion::I1).unwrap();
        assert_eq!(reference_id(EVENT.as_bytes()).as_ref(), Some(event.event_id()));
        let malformed = EVENT.replace("\"origin_server_ts\":1,", "");
        assert!(Event::parse(malformed.as_bytes(), RoomVersion::I1).is_err());
        assert!(reference_id(malformed.as_bytes()).is_some_and(|id| id != *event.event_id()));
        assert_eq!(reference_id(b"[]"), None);
    }
}
