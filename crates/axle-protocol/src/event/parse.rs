//! From bytes to an event: the schema of "Events" and its size limits.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::fields::Fields;
use super::redact::redacted_content_json;
use super::{Claimed, Event, EventKind, Inner, Signatures};
use crate::base64;
use crate::canonical_json::{self, JsonError};
use crate::id::{EventId, IdError, RoomId, ServerName, UserId};
use crate::limits::{MAX_AUTH_EVENTS, MAX_EVENT_BYTES, MAX_EVENT_JSON_BYTES, MAX_ID_BYTES, MAX_PREV_EVENTS};
use crate::room_version::RoomVersion;

/// Why bytes are not an event of the room version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or JSON that canonical JSON cannot represent.
    #[error("not valid JSON: {0}")]
    Json(#[from] JsonError),
    /// A field that must be there is not.
    #[error("the field {0:?} is missing")]
    Missing(&'static str),
    /// A field has a value it must not have.
    #[error("the field {field:?} {problem}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Larger than [`MAX_EVENT_BYTES`].
    #[error("the event is larger than {MAX_EVENT_BYTES} bytes")]
    TooLarge,
}

impl EventError {
    pub(super) fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Field { field, problem: problem.into() }
    }

    fn id(field: &'static str) -> impl FnOnce(IdError) -> Self {
        move |error| Self::field(field, format!("is {error}"))
    }
}

impl Event {
    /// Parses and checks the schema. Hashes and signatures are not checked here.
    pub fn parse(bytes: &[u8], version: RoomVersion) -> Result<Event, EventError> {
        if bytes.len() > MAX_EVENT_JSON_BYTES {
            return Err(EventError::TooLarge);
        }
        let object = canonical_json::parse_object(bytes)?;
        // `parse_object` has accepted the bytes as JSON, which is UTF-8.
        let json = std::str::from_utf8(bytes).map_err(|_| EventError::field("", "is not UTF-8"))?;
        let mut fields = Fields::of(&object, bytes.len().min(MAX_EVENT_BYTES));
        if fields.canonical_len() > MAX_EVENT_BYTES {
            return Err(EventError::TooLarge);
        }
        let exact = (json != fields.canonical()).then(|| json.into());
        if exact.is_some() {
            fields.shrink();
        }
        Ok(Event(Arc::new(inner(object, fields, exact, version)?)))
    }
}

fn inner(
    mut object: Map<String, Value>,
    fields: Fields,
    exact: Option<Box<str>>,
    version: RoomVersion,
) -> Result<Inner, EventError> {
    let room_id = RoomId::parse(string(&object, "room_id")?).map_err(EventError::id("room_id"))?;
    let sender = UserId::parse(string(&object, "sender")?).map_err(EventError::id("sender"))?;
    let event_type: Arc<str> = short(string(&object, "type")?, "type")?.into();
    let state_key = optional_string(&object, "state_key")?;
    let state_key = state_key.map(|key| short(key, "state_key")).transpose()?.map(Arc::from);
    let hub_server = optional_string(&object, "hub_server")?;
    let hub_server = hub_server.map(ServerName::parse).transpose().map_err(EventError::id("hub_server"))?;
    let origin_server_ts = timestamp(&object)?;
    let kind = kind(&object)?;
    let claimed = claimed_hashes(&object, kind, hub_server.is_some())?;
    let signatures = signatures(&mut object)?;
    let auth_events = event_ids(&object, "auth_events", MAX_AUTH_EVENTS)?;
    let prev_events = event_ids(&object, "prev_events", MAX_PREV_EVENTS)?;
    let content = match object.remove("content") {
        Some(Value::Object(content)) => content,
        Some(_) => return Err(EventError::field("content", "is not an object")),
        None => return Err(EventError::Missing("content")),
    };
    let redacted_content = redacted_content_json(&event_type, &content);
    Ok(Inner {
        version,
        kind,
        exact,
        event_id: OnceLock::new(),
        room_id,
        event_type,
        state_key,
        sender,
        origin_server_ts,
        hub_server,
        content: Arc::new(content),
        redacted_content,
        auth_events,
        prev_events,
        claimed,
        signatures,
        fields,
    })
}

/// An integer in canonical form: `1e12` is one, and what floating point cannot tell apart is not.
fn timestamp(object: &Map<String, Value>) -> Result<i64, EventError> {
    let value = object.get("origin_server_ts").ok_or(EventError::Missing("origin_server_ts"))?;
    canonical_json::as_integer(value)
        .filter(|ts| *ts >= 0)
        .ok_or_else(|| EventError::field("origin_server_ts", "is not a number of milliseconds"))
}

fn kind(object: &Map<String, Value>) -> Result<EventKind, EventError> {
    match (object.contains_key("auth_events"), object.contains_key("prev_events")) {
        (true, true) => Ok(EventKind::Pdu),
        (true, false) => Err(EventError::Missing("prev_events")),
        (false, true) => Err(EventError::Missing("auth_events")),
        (false, false) if object.contains_key("hub_server") => Ok(EventKind::Lpdu),
        (false, false) => Err(EventError::Missing("hub_server")),
    }
}

fn claimed_hashes(object: &Map<String, Value>, kind: EventKind, has_hub: bool) -> Result<Claimed, EventError> {
    let hashes = match object.get("hashes") {
        Some(Value::Object(hashes)) => hashes,
        Some(_) => return Err(EventError::field("hashes", "is not an object")),
        None => return Err(EventError::Missing("hashes")),
    };
    let lpdu = match hashes.get("lpdu") {
        None => None,
        Some(Value::Object(lpdu)) => Some(sha256_of(lpdu, "hashes.lpdu.sha256")?),
        Some(_) => return Err(EventError::field("hashes.lpdu", "is not an object")),
    };
    match (lpdu.is_some(), has_hub) {
        (false, true) => return Err(EventError::Missing("hashes.lpdu")),
        (true, false) => return Err(EventError::field("hashes.lpdu", "needs hub_server beside it")),
        _ => {}
    }
    let content = match kind {
        EventKind::Pdu => Some(sha256_of(hashes, "hashes.sha256")?),
        EventKind::Lpdu if hashes.len() > 1 => {
            return Err(EventError::field("hashes", "of an LPDU may hold only lpdu"));
        }
        EventKind::Lpdu => None,
    };
    let lpdu_json = hashes.get("lpdu").map(|lpdu| format!("{{\"lpdu\":{}}}", canonical_json::to_string(lpdu)).into());
    Ok(Claimed { lpdu, content, lpdu_json })
}

fn sha256_of(hashes: &Map<String, Value>, field: &'static str) -> Result<[u8; 32], EventError> {
    let text = hashes.get("sha256").ok_or(EventError::Missing(field))?.as_str();
    text.and_then(base64::decode_array).ok_or_else(|| EventError::field(field, "is not the base64 of 32 bytes"))
}

fn signatures(object: &mut Map<String, Value>) -> Result<Signatures, EventError> {
    let not_signatures = || EventError::field("signatures", "is not a map of server to key id to signature");
    let into_object = |value| match value {
        Value::Object(map) => Ok(map),
        _ => Err(not_signatures()),
    };
    let signature = |(id, text)| match text {
        Value::String(text) => Ok((id, text)),
        _ => Err(not_signatures()),
    };
    let entities = into_object(object.remove("signatures").ok_or(EventError::Missing("signatures"))?)?;
    let of_entity =
        |(entity, keys)| Ok((entity, into_object(keys)?.into_iter().map(signature).collect::<Result<_, _>>()?));
    entities.into_iter().map(of_entity).collect()
}

fn event_ids(object: &Map<String, Value>, field: &'static str, most: usize) -> Result<Vec<EventId>, EventError> {
    let Some(value) = object.get(field) else { return Ok(Vec::new()) };
    let items = value.as_array().ok_or_else(|| EventError::field(field, "is not an array"))?;
    if items.len() > most {
        return Err(EventError::field(field, format!("has more than {most} entries")));
    }
    let parse = |item: &Value| item.as_str().and_then(|id| EventId::parse(id).ok());
    let ids: Option<Vec<_>> = items.iter().map(parse).collect();
    ids.ok_or_else(|| EventError::field(field, "holds something other than event ids"))
}

fn string<'a>(object: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, EventError> {
    optional_string(object, field)?.ok_or(EventError::Missing(field))
}

fn optional_string<'a>(object: &'a Map<String, Value>, field: &'static str) -> Result<Option<&'a str>, EventError> {
    match object.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(EventError::field(field, "is not a string")),
    }
}

fn short<'a>(text: &'a str, field: &'static str) -> Result<&'a str, EventError> {
    // The draft counts characters, Matrix bytes: what this server makes is checked for bytes, see `Template`.
    if text.len() > MAX_ID_BYTES && text.chars().count() > MAX_ID_BYTES {
        return Err(EventError::field(field, format!("is longer than {MAX_ID_BYTES} characters")));
    }
    Ok(text)
}
