//! Reading answers, also where implementations differ from the draft.

use axle_protocol::{RoomVersion, canonical_json};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::ClientError;

/// Parses a JSON answer.
pub(super) fn json<T: DeserializeOwned>(body: &Bytes) -> Result<T, ClientError> {
    // Serde would take an array of the fields for an object.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ClientError::Malformed("the answer is not an object".into()));
    }
    serde_json::from_slice(body).map_err(|error| ClientError::Malformed(error.to_string()))
}

/// An event as received. Some servers add an `event_id`, which is no part of it.
pub(super) fn event(raw: Box<RawValue>) -> Result<Box<RawValue>, ClientError> {
    if !raw.get().starts_with('{') {
        return Err(ClientError::Malformed("an event is not an object".into()));
    }
    // Escapes may hide it.
    if !raw.get().contains("\"event_id\"") && !raw.get().contains("\\u") {
        return Ok(raw);
    }
    // What cannot be read is refused, alone, where events are parsed.
    let Ok(mut object) = canonical_json::parse_object(raw.get().as_bytes()) else { return Ok(raw) };
    if object.remove("event_id").is_none() {
        return Ok(raw);
    }
    RawValue::from_string(canonical_json::object_to_string(&object))
        .map_err(|error| ClientError::Malformed(error.to_string()))
}

/// Events as received; see [`event`].
pub(super) fn events(raw: Vec<Box<RawValue>>) -> Result<Vec<Box<RawValue>>, ClientError> {
    raw.into_iter().map(event).collect()
}

/// The answer to `invite`: the draft says `pdu`, some say `event`.
pub(super) fn invited(body: &Bytes) -> Result<Box<RawValue>, ClientError> {
    #[derive(Deserialize)]
    struct Answer {
        pdu: Option<Box<RawValue>>,
        event: Option<Box<RawValue>>,
    }
    let answer: Answer = json(body)?;
    let raw = answer.pdu.or(answer.event).ok_or_else(|| ClientError::Malformed("there is no pdu".into()))?;
    event(raw)
}

/// A template, in either reading of the draft: inside `event`, or bare. `None`: the room's version is not told.
pub(super) fn template(body: &Bytes) -> Result<(Map<String, Value>, Option<RoomVersion>), ClientError> {
    let malformed = |text: &str| ClientError::Malformed(text.to_owned());
    let mut answer = canonical_json::parse_object(body).map_err(|error| malformed(&error.to_string()))?;
    let version = match answer.remove("room_version") {
        None => None,
        Some(Value::String(text)) => {
            Some(RoomVersion::parse(&text).ok_or_else(|| malformed("a room version that was not asked for"))?)
        }
        Some(_) => return Err(malformed("room_version is not a string")),
    };
    let event = match answer.remove("event") {
        Some(Value::Object(event)) => event,
        Some(_) => return Err(malformed("event is not an object")),
        None => answer,
    };
    if event.get("type").and_then(Value::as_str) != Some("m.room.member") {
        return Err(malformed("the template is not of a membership event"));
    }
    Ok((event, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn events_keep_their_bytes_but_not_an_event_id() {
        assert_eq!(event(raw(r#"{"b":1, "a":2}"#)).unwrap().get(), r#"{"b":1, "a":2}"#);
        let inner = r#"{"content":{"event_id":"$x"}}"#;
        assert_eq!(event(raw(inner)).unwrap().get(), inner);
        assert_eq!(event(raw(r#"{"event_id":"$x","a":2}"#)).unwrap().get(), r#"{"a":2}"#);
        assert!(event(raw("null")).is_err() && event(raw("[1]")).is_err());
        // However it is written; and what cannot be read spoils nothing beside it.
        assert_eq!(event(raw(r#"{"a":2,"event\u005fid":"$x"}"#)).unwrap().get(), r#"{"a":2}"#);
        for same in [r#"{ "a":"\u00e9" }"#, r#"{"event_id":"\ud800"}"#] {
            assert_eq!(event(raw(same)).unwrap().get(), same);
        }
    }

    #[test]
    fn invites_in_either_form() {
        for body in [r#"{"pdu":{"a":1}}"#, r#"{"event":{"a":1}}"#, r#"{"event":{"a":2},"pdu":{"a":1}}"#] {
            assert_eq!(invited(&bytes(body)).unwrap().get(), r#"{"a":1}"#);
        }
        assert!(invited(&bytes("{}")).is_err() && invited(&bytes("<html>")).is_err());
    }

    #[test]
    fn templates_in_either_form() {
        let nested = r#"{"event":{"type":"m.room.member"},"room_version":"I.1"}"#;
        let (event, version) = template(&bytes(nested)).unwrap();
        assert_eq!((event.len(), version), (1, Some(RoomVersion::I1)));
        let (event, version) = template(&bytes(r#"{"type":"m.room.member","sender":"@a:b"}"#)).unwrap();
        assert_eq!((event.len(), version), (2, None));
        let both = r#"{"event":{"type":"m.room.member"},"room_version":"I.1","type":"m.room.member","sender":"@a:b"}"#;
        assert_eq!(template(&bytes(both)).unwrap().0.len(), 1);
        for bad in ["[]", "{}", r#"{"event":1}"#, r#"{"type":"m.room.create"}"#] {
            assert!(template(&bytes(bad)).is_err(), "{bad}");
        }
        assert!(template(&bytes(r#"{"event":{"type":"m.room.member"},"room_version":"9"}"#)).is_err());
    }
}
