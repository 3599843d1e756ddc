//! What a sync tells beside rooms' events, one subject a file.

pub(crate) mod account_data;
pub(crate) mod e2ee;
pub(crate) mod presence;
pub(crate) mod receipts;
pub(crate) mod to_device;
pub(crate) mod typing;

use axle_protocol::{MatrixError, RoomId};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::ApiResult;

/// An event of a room that is not in its timeline. In a sync it stands inside its room, elsewhere it names it.
fn fleeting_event(event_type: &str, room_id: Option<&RoomId>, content: &impl Serialize) -> ApiResult<Box<RawValue>> {
    #[derive(Serialize)]
    struct Event<'a, T> {
        #[serde(rename = "type")]
        event_type: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        room_id: Option<&'a RoomId>,
        content: &'a T,
    }
    let event = to_raw_value(&Event { event_type, room_id, content });
    Ok(event.map_err(|error| {
        tracing::error!(%error, event_type, "an event cannot be rendered");
        MatrixError::unknown("The server has an event that it cannot tell.")
    })?)
}
