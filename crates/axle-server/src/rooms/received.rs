//! Events out of other servers' answers: parsed, checked, bounded.

use axle_protocol::signing::SignatureStatus;
use axle_protocol::{Event, MatrixError, RoomVersion};
use axle_room::Verified;
use serde_json::value::RawValue;

use super::{Rooms, verify};

/// Events of one answer that are looked at; answers with more are refused.
const MAX_EVENTS: usize = 200_000;

/// An event of an answer.
pub(crate) fn parse(raw: &RawValue, version: RoomVersion) -> Option<Event> {
    Event::parse(raw.get().as_bytes(), version).ok()
}

/// The events of an answer that are well-formed and signed, in its order.
pub(crate) async fn sound(rooms: &Rooms, raws: &[Box<RawValue>], version: RoomVersion) -> Vec<Verified> {
    sound_as_far_as_known(rooms, raws, version).await.0
}

/// The same, and whether some are not among them because a key could not be had.
pub(crate) async fn sound_as_far_as_known(
    rooms: &Rooms,
    raws: &[Box<RawValue>],
    version: RoomVersion,
) -> (Vec<Verified>, bool) {
    let events = raws.iter().take(MAX_EVENTS).filter_map(|raw| parse(raw, version)).collect();
    let checked = check(rooms, events).await.unwrap_or_default();
    let lacks_key = |error: &axle_room::VerifyError| error.status == SignatureStatus::UnknownKey;
    let lacks_keys = checked.iter().any(|checked| checked.as_ref().is_err_and(lacks_key));
    (checked.into_iter().flatten().collect(), lacks_keys)
}

/// All events of an answer; an error if one of them is not as it should be.
pub(crate) async fn all_sound(
    rooms: &Rooms,
    raws: &[Box<RawValue>],
    version: RoomVersion,
) -> Result<Vec<Verified>, MatrixError> {
    if raws.len() > MAX_EVENTS {
        return Err(MatrixError::bad_gateway("The other server's answer holds too many events."));
    }
    let bad = |reason: String| MatrixError::bad_gateway(format!("The other server's answer holds {reason}"));
    let events = raws.iter().map(|raw| parse(raw, version)).collect::<Option<Vec<_>>>();
    let events = events.ok_or_else(|| bad("an event that is not well-formed.".into()))?;
    let checked = check(rooms, events).await?;
    let wrong = |error: axle_room::VerifyError| bad(format!("an event that is not signed: {error}."));
    checked.into_iter().map(|event| event.map_err(wrong)).collect()
}

/// Checks events with the keys that they need.
pub(crate) async fn check(
    rooms: &Rooms,
    events: Vec<Event>,
) -> Result<Vec<Result<Verified, axle_room::VerifyError>>, MatrixError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let keys = rooms.0.keys.keys_for(&events).await;
    let closing = || MatrixError::unknown("The server is shutting down.");
    verify::check_all(events, keys).await.ok_or_else(closing)
}
