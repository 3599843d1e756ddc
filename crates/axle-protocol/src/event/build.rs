//! Making events from typed fields: LPDUs of a participant, PDUs of a hub.
//!
//! Nothing that a remote server sent as a template is ever signed.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::fields::Fields;
use super::hash::{content_hash_input, hash_object, lpdu_hash_input, redacted_input, redacted_lpdu_input, sha256};
use super::parse::EventError;
use super::redact::redacted_content_json;
use super::{Claimed, Event, EventKind, Hash, Inner, Signatures};
use crate::canonical_json;
use crate::id::{EventId, RoomId, ServerName, UserId};
use crate::keys::SigningKey;
use crate::limits::{MAX_AUTH_EVENTS, MAX_EVENT_BYTES, MAX_ID_BYTES, MAX_PREV_EVENTS};
use crate::room_version::RoomVersion;

/// Room for most events that are made here.
const TYPICAL_BYTES: usize = 1024;

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
    /// `type` and `state_key` of what this server makes are limited in bytes, since Matrix servers count those.
    #[error("{0} is longer than {MAX_ID_BYTES} bytes")]
    TooLong(&'static str),
    /// Only an LPDU can be completed.
    #[error("only an LPDU can be completed")]
    NotAnLpdu,
    /// An LPDU says itself which hub is to complete it.
    #[error("the LPDU is for another hub")]
    OtherHub,
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
        let mut fields = Fields::of(&object, TYPICAL_BYTES);
        let hashes = format!("{{\"lpdu\":{}}}", hash_object(&sha256(lpdu_hash_input(&fields))));
        fields.set("hashes", &hashes);
        let redacted = redacted_content(&object);
        let signature = key.sign(redacted_lpdu_input(&fields, &redacted, &hashes).as_bytes());
        fields.set("signatures", &signatures_json(&with_signature(Signatures::new(), server, key, signature)));
        finish(&fields, version)
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
        let object = self.into_object()?;
        let redacted = redacted_content(&object);
        let sealed = Seal { auth_events, prev_events, server, key }.apply(
            Fields::of(&object, TYPICAL_BYTES),
            &redacted,
            None,
            Signatures::new(),
        );
        finish(&sealed.fields, version)
    }

    fn into_object(self) -> Result<Map<String, Value>, BuildError> {
        if !self.content.values().all(canonical_json::has_only_safe_integers) {
            return Err(BuildError::UnsafeNumber);
        }
        for (name, text) in [("type", Some(&self.event_type)), ("state_key", self.state_key.as_ref())] {
            if text.is_some_and(|text| text.len() > MAX_ID_BYTES) {
                return Err(BuildError::TooLong(name));
            }
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
    /// signature, keeping everything that the participant signed. Signatures of others are dropped: nothing vouches
    /// for them, and a bad one under the hub's name could make the result look forged.
    pub fn complete(
        &self,
        auth_events: &[EventId],
        prev_events: &[EventId],
        server: &ServerName,
        key: &SigningKey,
    ) -> Result<Event, BuildError> {
        let lpdu = &*self.0;
        if lpdu.kind != EventKind::Lpdu {
            return Err(BuildError::NotAnLpdu);
        }
        if lpdu.hub_server.as_ref() != Some(server) {
            return Err(BuildError::OtherHub);
        }
        check_count("auth_events", auth_events, MAX_AUTH_EVENTS)?;
        check_count("prev_events", prev_events, MAX_PREV_EVENTS)?;
        let sender = lpdu.sender.server_str();
        let kept = lpdu.signatures.get_key_value(sender).filter(|(entity, _)| *entity != server.as_str());
        let signatures = kept.map(|(entity, keys)| (entity.clone(), keys.clone())).into_iter().collect();
        let sealed = Seal { auth_events, prev_events, server, key }.apply(
            lpdu.fields.clone_for_more(),
            &lpdu.redacted_content,
            lpdu.claimed.lpdu_json.as_deref(),
            signatures,
        );
        if sealed.fields.canonical_len() > MAX_EVENT_BYTES {
            return Err(EventError::TooLarge.into());
        }
        Ok(Event(Arc::new(Inner {
            version: lpdu.version,
            kind: EventKind::Pdu,
            exact: None,
            event_id: OnceLock::from(sealed.event_id),
            room_id: lpdu.room_id.clone(),
            event_type: lpdu.event_type.clone(),
            state_key: lpdu.state_key.clone(),
            sender: lpdu.sender.clone(),
            origin_server_ts: lpdu.origin_server_ts,
            hub_server: lpdu.hub_server.clone(),
            content: lpdu.content.clone(),
            redacted_content: lpdu.redacted_content.clone(),
            auth_events: auth_events.to_vec(),
            prev_events: prev_events.to_vec(),
            claimed: Claimed { content: Some(sealed.content_hash), ..lpdu.claimed.clone() },
            signatures: sealed.signatures,
            fields: sealed.fields,
        })))
    }

    /// The event with one more signature over its finished form: what an invite's target adds.
    pub fn signed_by(&self, server: &ServerName, key: &SigningKey) -> Result<Event, BuildError> {
        let signature = key.sign(self.redacted_input().as_bytes());
        self.with_signatures(&with_signature(self.0.signatures.clone(), server, key, signature))
    }

    /// The event with the signatures that `server` has on `other`: this event, as that server gave it back.
    pub fn with_signatures_of(&self, server: &ServerName, other: &Event) -> Result<Event, BuildError> {
        let added = other.0.signatures.get_key_value(server.as_str());
        let mut signatures = self.0.signatures.clone();
        signatures.extend(added.map(|(entity, keys)| (entity.clone(), keys.clone())));
        self.with_signatures(&signatures)
    }

    fn with_signatures(&self, signatures: &Signatures) -> Result<Event, BuildError> {
        let mut fields = self.0.fields.clone();
        fields.set("signatures", &signatures_json(signatures));
        finish(&fields, self.version())
    }
}

/// What a hub adds to make an event a finished one.
struct Seal<'a> {
    auth_events: &'a [EventId],
    prev_events: &'a [EventId],
    server: &'a ServerName,
    key: &'a SigningKey,
}

struct Sealed {
    fields: Fields,
    content_hash: Hash,
    event_id: EventId,
    signatures: Signatures,
}

impl Seal<'_> {
    fn apply(
        &self,
        mut fields: Fields,
        redacted_content: &str,
        lpdu_hashes: Option<&str>,
        signatures: Signatures,
    ) -> Sealed {
        fields.set("auth_events", &id_array(self.auth_events));
        fields.set("prev_events", &id_array(self.prev_events));
        let content_hash = sha256(content_hash_input(&fields, lpdu_hashes));
        let hash = hash_object(&content_hash);
        match lpdu_hashes.and_then(|lpdu| lpdu.strip_suffix('}')) {
            // `{"lpdu":{...}` and `,"sha256":"..."}`: both halves are canonical, and so is their order.
            Some(lpdu) => fields.set("hashes", &format!("{lpdu},{}", hash.trim_start_matches('{'))),
            None => fields.set("hashes", &hash),
        }
        let redacted = redacted_input(&fields, redacted_content);
        let event_id = EventId::from_reference_hash(&sha256(&redacted));
        let signatures = with_signature(signatures, self.server, self.key, self.key.sign(redacted.as_bytes()));
        fields.set("signatures", &signatures_json(&signatures));
        Sealed { fields: fields.compact(|_| true), content_hash, event_id, signatures }
    }
}

/// What this server makes has passed the same check as what others make.
fn finish(fields: &Fields, version: RoomVersion) -> Result<Event, BuildError> {
    Ok(Event::parse(fields.compact(|_| true).canonical().as_bytes(), version)?)
}

fn check_count(field: &'static str, ids: &[EventId], most: usize) -> Result<(), EventError> {
    match ids.len() > most {
        true => Err(EventError::field(field, format!("has more than {most} entries"))),
        false => Ok(()),
    }
}

fn redacted_content(object: &Map<String, Value>) -> Cow<'static, str> {
    let event_type = object.get("type").and_then(Value::as_str).unwrap_or_default();
    match object.get("content").and_then(Value::as_object) {
        Some(content) => redacted_content_json(event_type, content),
        None => Cow::Borrowed("{}"),
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

fn with_signature(mut all: Signatures, server: &ServerName, key: &SigningKey, signature: String) -> Signatures {
    all.entry(server.to_string()).or_default().insert(key.id().to_string(), signature);
    all
}

fn signatures_json(signatures: &Signatures) -> String {
    let mut out = String::with_capacity(300);
    canonical_json::write_map(&mut out, signatures, |out, keys| {
        canonical_json::write_map(out, keys, |out, signature| canonical_json::write_string(out, signature));
    });
    out
}
