//! Guests of this server leave rooms that take no guests any more ("Guest Access" in Matrix's specification).

use std::sync::Arc;

use axle_client_api::{GUEST_ACCESS, takes_guests};
use axle_protocol::{RoomId, UserId};
use axle_room::{Placed, Room, Status};
use axle_store::StoreError;
use serde_json::{Map, Value};

use super::{Rooms, Shared, outside};

/// Sees to guests in the background if one of these events, which are stored, can be the end of their access.
pub(super) fn see_to(shared: &Arc<Shared>, room: &Room, placed: &[Placed]) {
    let access = room.state().get(GUEST_ACCESS, "");
    let concerns = |placed: &Placed| {
        let event = &placed.event;
        let sets = (event.event_type(), event.state_key()) == (GUEST_ACCESS, Some(""));
        sets || placed.redacts.as_ref().is_some_and(|redacted| Some(redacted) == access)
    };
    let accepted = |placed: &&Placed| placed.position.is_some() && placed.status == Status::Accepted;
    if placed.iter().filter(accepted).any(concerns) {
        in_background(&Rooms(shared.clone()), vec![room.id().clone()]);
    }
}

/// The same for all rooms that guests are in: a restart may have come in between.
pub(super) async fn resume(rooms: &Rooms) -> Result<(), StoreError> {
    in_background(rooms, rooms.0.store.rooms_with_guests().await?);
    Ok(())
}

fn in_background(rooms: &Rooms, which: Vec<RoomId>) {
    let rooms = rooms.clone();
    tokio::spawn(async move {
        for room_id in which {
            if let Err(error) = put_out(&rooms, &room_id).await {
                tracing::error!(%room_id, %error, "guests may still be in a room that takes none");
            }
        }
    });
}

/// Takes the guests out of a room that takes none.
async fn put_out(rooms: &Rooms, room_id: &RoomId) -> Result<(), StoreError> {
    let store = &*rooms.0.store;
    if takes_guests(store, room_id).await? {
        return Ok(());
    }
    for guest in store.guests_in(room_id).await? {
        leave(rooms, &guest, room_id).await;
    }
    Ok(())
}

async fn leave(rooms: &Rooms, guest: &UserId, room_id: &RoomId) {
    let content = Map::from_iter([("reason".to_owned(), Value::from("This room takes no guests any more."))]);
    // A guest who stays can send nothing all the same, and leaves after the next start.
    if let Err(error) = outside::leave(rooms, guest, room_id, content).await {
        tracing::info!(%room_id, %guest, %error, "a guest could not leave a room that takes none");
    }
}
