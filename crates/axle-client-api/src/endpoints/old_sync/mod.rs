//! What there was before sync, deprecated by Matrix, and how one looks on in a room without being in it.

mod event;
mod events;
mod initial_sync;

use axle_protocol::MatrixError;
use http::Method;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::endpoint::Endpoints;
use crate::error::ApiResult;

const EVENTS: [&str; 2] = ["/_matrix/client/r0/events", "/_matrix/client/v3/events"];
const EVENT: [&str; 2] = ["/_matrix/client/r0/events/{event_id}", "/_matrix/client/v3/events/{event_id}"];
const INITIAL_SYNC: [&str; 2] = ["/_matrix/client/r0/initialSync", "/_matrix/client/v3/initialSync"];

/// The routes of this subject.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed_or_guest_raw(Method::GET, &EVENTS, events::events)
        .authed_raw(Method::GET, &EVENT, event::event)
        .authed_raw(Method::GET, &INITIAL_SYNC, initial_sync::initial_sync)
}

/// An event that names its room, where it did not.
fn naming_room(event: &RawValue, room_id: &str) -> ApiResult<Value> {
    let unreadable = |error: serde_json::Error| {
        tracing::error!(%error, "an event cannot be rendered");
        MatrixError::unknown("The server has an event that it cannot read.")
    };
    let mut event: Value = serde_json::from_str(event.get()).map_err(unreadable)?;
    if let Value::Object(fields) = &mut event {
        fields.insert("room_id".to_owned(), room_id.into());
    }
    Ok(event)
}
