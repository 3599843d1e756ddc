//! Aliases, the list of rooms, spaces, upgrades, reports, and rooms that are forgotten.

mod aliases;
mod forget;
mod list;
mod reports;
mod spaces;
mod summary;
mod upgrade;

use axle_protocol::RoomId;
use serde_json::Value;

use crate::common::{Answer, Person};

/// The path of an alias of the test server.
fn alias(name: &str) -> String {
    format!("/_matrix/client/v3/directory/room/%23{name}:example.org")
}

/// The path of something in a room.
fn of(room: &RoomId, what: &str) -> String {
    format!("/_matrix/client/v3/rooms/{room}/{what}")
}

/// Content of a room's state.
async fn state(person: &Person, room: &RoomId, event_type: &str) -> Answer {
    person.get(&of(room, &format!("state/{event_type}"))).await
}

/// The ids of rooms in a list.
fn room_ids(rooms: &Value) -> Vec<&str> {
    rooms.as_array().unwrap().iter().map(|room| room["room_id"].as_str().unwrap()).collect()
}
