//! What happens, as lines for people.

use axle_protocol::RoomId;

use crate::disk::RoomLog;
use crate::wire::{Body, Envelope, NodeId};

/// A server's log of a room, as it is in the end.
pub(super) fn log_lines(node: NodeId, room_id: &RoomId, log: &RoomLog) -> Vec<String> {
    let line = |(position, event): (i64, &axle_protocol::Event)| {
        let parents: Vec<String> = event.prev_events().iter().map(|id| short(id.as_str())).collect();
        let key = event.state_key().map(|key| format!(" {key} {}", event.membership().unwrap_or_default()));
        let (id, kind, key) = (short(event.event_id().as_str()), event.event_type(), key.unwrap_or_default());
        format!("s{node} {room_id} {position:>12} {id} after {parents:?} {} {kind}{key}", event.sender())
    };
    log.ordered().map(line).collect()
}

fn short(id: &str) -> String {
    id.chars().take(7).collect()
}

/// A message between servers, in short.
pub(super) fn summary(envelope: &Envelope) -> String {
    let Envelope { from, to, call, body } = envelope;
    let mut text = match body {
        Body::Request(request) => format!("{request:?}"),
        Body::Response(response) => format!("{response:?}"),
    };
    if let Some((end, _)) = text.char_indices().nth(220) {
        text.truncate(end);
    }
    format!("s{from} -> s{to} #{call} {text}")
}
