//! Rooms that this server is not in, as far as it was told of them.

use axle_store::{EventStatus, OutOfRoom, StoredEvent};

/// The member event of an invite or a knock in a room that this server is not in, or of its end.
pub(crate) fn event_elsewhere(entry: OutOfRoom) -> StoredEvent {
    StoredEvent {
        event_id: entry.event_id,
        room_id: entry.room_id,
        room_version: entry.room_version,
        stream: entry.stream,
        position: None,
        status: EventStatus::Accepted,
        json: entry.json,
        redacted_by: None,
    }
}
