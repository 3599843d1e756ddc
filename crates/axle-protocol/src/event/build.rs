//! Making events from typed fields: LPDUs of a participant, PDUs of a hub.
//!
//! Nothing that a remote server sent as a template is ever signed.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::hash::{content_hash_input, hash_object, lpdu_hash_input, redacted_input, redacted_lpdu_input, sha256};
use super::parse::EventError;
use super::redact::redacted_content_json;
use super::{Event, EventKind};
use crate::canonical_json;
use crate::id::{EventId, RoomId, ServerName, UserId};
use crate::keys::SigningKey;
use crate::room_version::RoomVersion;

/// What a user wants to send: everything of an event that is theirs to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The room.
    pub room_id: RoomId,
    /// `type`.
    pub event_type: String,
    /// `state_key`, for a state event.
    pub state_key: Option<String>,
    /// Who sends it.
    pub sender: UserId,
    /// Milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
    /// `content`.
    pub content: Map<String, Value>,
}

/// Why an event could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Matrix servers refuse numbers that are not integers within 2^53 - 1.
    #[error("content holds a number that is not an integer between -(2^53-1) and 2^53-1")]
    UnsafeNumber,
    /// The result would not be a valid event.
    #[error(transparent)]
    Event(#[from] EventError),
    /// Only an LPDU can be completed.
    #[error("only an LPDU can be completed")]
    NotAnLpdu,
}

impl Template {
    /// The LPDU that a participant sends to the hub, hashed and signed by `server`.
    pub fn into_lpdu(
        self,
        version: RoomVersion,
        hub: &ServerName,
        server: &ServerName,
        key: &SigningKey,
    ) -> Result<Event, BuildError> {
        let mut object = self.into_object()?;
        object.insert("hub_server".into(), hub.as_str().into());
        let mut fields = Fields::of(&object);
        let hashes = lpdu_hashes(&fields);
        fields.set("hashes", &hashes);
        let redacted = redacted_content(&object);
        let signature = key.sign(redacted_lpdu_input(&fields, &redacted, &hashes).as_bytes());
        fields.set("signatures", &signatures_with(None, server, key, signature));
        finish(fields, version)
    }

    /// A finished event of one of the hub's own users: no `hub_server`, no LPDU hash.
    pub fn into_pdu(
        self,
        version: RoomVersion,
        auth_events: &[EventId],
        prev_events: &[EventId],
        server: &ServerName,
        key: &SigningKey,
    ) -> Result<Event, BuildError> {
        let fields = Fields::of(&self.into_object()?);
        seal(fields, None, version, auth_events, prev_events, server, key)
    }

    fn into_object(self) -> Result<Map<String, Value>, BuildError> {
        if !self.content.values().all(canonical_json::has_only_safe_integers) {
            return Err(BuildError::UnsafeNumber);
        }
        let mut object = Map::new();
        object.insert("room_id".into(), self.room_id.as_str().into());
        object.insert("type".into(), self.event_type.into());
        if let Some(state_key) = self.state_key {
            object.insert("state_key".into(), state_key.into());
        }
        object.insert("sender".into(), self.sender.as_str().into());
        object.insert("origin_server_ts".into(), self.origin_server_ts.into());
        object.insert("content".into(), Value::Object(self.content));
        Ok(object)
    }
}

impl Event {
    /// What the hub makes of a participant's LPDU: adds `auth_events`, `prev_events`, the content hash and its own
    /// signature, keeping everything that the participant signed.
    pub fn complete(
        &self,
        auth_events: &[EventId],
        prev_events: &[EventId],
        server: &ServerName,
        key: &SigningKey,
    ) -> Result<Event, BuildError> {
        if self.kind() != EventKind::Lpdu {
            return Err(BuildError::NotAnLpdu);
        }
        let lpdu_hashes = self.lpdu_hashes();
        seal(self.0.fields.clone(), lpdu_hashes, self.version(), auth_events, prev_events, server, key)
    }

    /// The event with one more signature over its finished form: what an invite's target adds.
    pub fn signed_by(&self, server: &ServerName, key: &SigningKey) -> Result<Event, BuildError> {
        let signature = key.sign(self.redacted_input().as_bytes());
        let mut fields = self.0.fields.clone();
        let signatures = signatures_with(fields.get("signatures"), server, key, signature);
        fields.set("signatures", &signatures);
        finish(fields, self.version())
    }
}

fn seal(
    mut fields: Fields,
    lpdu_hashes: Option<String>,
    version: RoomVersion,
    auth_events: &[EventId],
    prev_events: &[EventId],
    server: &ServerName,
    key: &SigningKey,
) -> Result<Event, BuildError> {
    fields.set("auth_events", &id_array(auth_events));
    fields.set("prev_events", &id_array(prev_events));
    let hash = hash_object(&sha256(&content_hash_input(&fields, lpdu_hashes.as_deref())));
    let hashes = match &lpdu_hashes {
        // `{"lpdu":{...}` and `,"sha256":"..."}`: both halves are canonical, and so is their order.
        Some(lpdu) => format!("{},{}", &lpdu[..lpdu.len() - 1], &hash[1..]),
        None => hash,
    };
    fields.set("hashes", &hashes);
    let content = fields.get("content").and_then(|text| serde_json::from_str(text).ok());
    let event_type: String = fields.get("type").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let redacted = redacted_content_json(&event_type, &content.unwrap_or_default());
    let signature = key.sign(redacted_input(&fields, &redacted).as_bytes());
    let signatures = signatures_with(fields.get("signatures"), server, key, signature);
    fields.set("signatures", &signatures);
    finish(fields, version)
}

fn finish(fields: Fields, version: RoomVersion) -> Result<Event, BuildError> {
    let json = fields.write(|_, text| Some(text));
    Ok(Event::parse(json.as_bytes(), version)?)
}

fn lpdu_hashes(fields: &Fields) -> String {
    format!("{{\"lpdu\":{}}}", hash_object(&sha256(&lpdu_hash_input(fields))))
}

fn redacted_content(object: &Map<String, Value>) -> String {
    let event_type = object.get("type").and_then(Value::as_str).unwrap_or_default();
    match object.get("content").and_then(Value::as_object) {
        Some(content) => redacted_content_json(event_type, content),
        None => "{}".into(),
    }
}

fn id_array(ids: &[EventId]) -> String {
    let mut out = String::with_capacity(2 + ids.len() * 47);
    out.push('[');
    for (i, id) in ids.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        canonical_json::write_string(&mut out, id.as_str());
    }
    out.push(']');
    out
}

fn signatures_with(existing: Option<&str>, server: &ServerName, key: &SigningKey, signature: String) -> String {
    let mut all: Map<String, Value> = existing.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let own = all.entry(server.as_str()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(own) = own {
        own.insert(key.id().to_string(), Value::String(signature));
    }
    canonical_json::object_to_string(&all)
}
