//! Guests of this server leave rooms that take no guests any more ("Guest Access" in Matrix's specification).

use std::sync::Arc;

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};
use axle_room::{Placed, Room, Status};
use serde_json::{Map, Value};

use super::{Rooms, Shared, outside};

/// Sees to guests in the background if one of these events, which are stored, says that the room takes none.
pub(super) fn see_to(shared: &Arc<Shared>, room: &Room, placed: &[Placed]) {
    if !placed.iter().any(ends_guest_access) {
        return;
    }
    let ours = |user: &str| UserId::parse(user).ok().filter(|user| user.server_str() == shared.me.name.as_str());
    let joined = room.state().members().filter(|(_, membership)| *membership == Membership::Join);
    let members: Vec<UserId> = joined.filter_map(|(user, _)| ours(user)).collect();
    let (rooms, room_id) = (Rooms(shared.clone()), room.id().clone());
    tokio::spawn(async move {
        for user in members {
            put_out(&rooms, &room_id, &user).await;
        }
    });
}

/// Takes a user out of a room, if they are a guest.
async fn put_out(rooms: &Rooms, room_id: &RoomId, user: &UserId) {
    let is_guest = match rooms.0.store.user(user).await {
        Ok(user) => user.is_some_and(|user| user.standing.guest),
        Err(error) => return tracing::error!(%error, "guests may still be in a room that takes none"),
    };
    if !is_guest {
        return;
    }
    let content = Map::from_iter([("reason".to_owned(), Value::from("This room takes no guests any more."))]);
    // A guest who stays can send nothing all the same.
    if let Err(error) = outside::leave(rooms, user, room_id, content).await {
        tracing::info!(%room_id, %user, %error, "a guest could not leave a room that takes none");
    }
}

fn ends_guest_access(placed: &Placed) -> bool {
    let event = &placed.event;
    placed.position.is_some()
        && placed.status == Status::Accepted
        && (event.event_type(), event.state_key()) == ("m.room.guest_access", Some(""))
        && event.content().get("guest_access").and_then(Value::as_str) != Some("can_join")
}
