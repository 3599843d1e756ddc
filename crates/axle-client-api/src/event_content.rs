//! The content of events that clients send.

use axle_protocol::MatrixError;
use axle_protocol::canonical_json::{has_only_safe_integers, parse_object};
use axle_protocol::limits::{MAX_EVENT_BYTES, MAX_ID_BYTES};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Parses the content of an event: an object of JSON that canonical JSON can represent, with no numbers but integers
/// that every Matrix server reads alike.
pub(crate) fn parse(json: &RawValue) -> Result<Map<String, Value>, MatrixError> {
    if json.get().len() > MAX_EVENT_BYTES {
        return Err(MatrixError::too_large(format!("An event has at most {MAX_EVENT_BYTES} bytes.")));
    }
    let content = parse_object(json.get().as_bytes()).map_err(|error| MatrixError::bad_json(error.to_string()))?;
    if content.values().all(has_only_safe_integers) {
        return Ok(content);
    }
    Err(MatrixError::bad_json("Numbers in an event are integers from -2^53+1 to 2^53-1."))
}

/// Checks the lengths of a type and a state key.
pub(crate) fn check_key(event_type: &str, state_key: Option<&str>) -> Result<(), MatrixError> {
    if event_type.len() > MAX_ID_BYTES || state_key.is_some_and(|key| key.len() > MAX_ID_BYTES) {
        let error = format!("The type and the state key of an event have at most {MAX_ID_BYTES} bytes.");
        return Err(MatrixError::too_large(error));
    }
    Ok(())
}

/// Adds a reason, if there is one.
pub(crate) fn add_reason(content: &mut Map<String, Value>, reason: Option<String>) {
    if let Some(reason) = reason {
        content.insert("reason".into(), reason.into());
    }
}
