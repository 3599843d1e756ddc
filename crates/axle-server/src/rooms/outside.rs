//! Leaving, declining and knocking.

use std::sync::Arc;

use axle_federation::MembershipChange;
use axle_protocol::auth::Membership;
use axle_protocol::{Event, MatrixError, RoomId, ServerName, UserId};
use axle_store::OutOfRoom;
use serde_json::{Map, Value};

use super::enter::{Failure, candidates, handshake_lpdu, is_inside, send_member};
use super::{Rooms, errors, leaving, stripped};

/// Takes a local user out of a room, declines an invite, or retracts a knock.
pub(crate) async fn leave(
    rooms: &Rooms,
    user: &UserId,
    room_id: &RoomId,
    mut content: Map<String, Value>,
) -> Result<(), MatrixError> {
    content.insert("membership".into(), "leave".into());
    if is_inside(rooms, room_id).await? {
        return leaving::leave(rooms, user, room_id, content).await;
    }
    let told = rooms.0.store.out_of_room_in(user, room_id).await.map_err(errors::broken)?;
    let waits = |entry: &OutOfRoom| matches!(entry.membership, Membership::Invite | Membership::Knock);
    let Some(told) = told.filter(waits) else {
        return Err(MatrixError::forbidden("You are not in the room."));
    };
    // The user is done with the room, whether its hub hears of it or not.
    let lpdu = decline(rooms, user, room_id, &content, &told).await;
    let (event_id, json) = match &lpdu {
        Some(lpdu) => (lpdu.event_id().clone(), Arc::from(lpdu.json())),
        None => (told.event_id.clone(), told.json.clone()),
    };
    remember(rooms, OutOfRoom { membership: Membership::Leave, event_id, json, ..told }).await
}

/// Asks for an invite.
pub(crate) async fn knock(
    rooms: &Rooms,
    user: &UserId,
    room_id: &RoomId,
    via: &[ServerName],
    mut content: Map<String, Value>,
) -> Result<(), MatrixError> {
    content.insert("membership".into(), "knock".into());
    rooms.0.blocks.now(&*rooms.0.store).await.map_err(errors::broken)?.check_room(room_id)?;
    if is_inside(rooms, room_id).await? {
        return send_member(rooms, user, room_id, content).await;
    }
    leaving::delivered(rooms, user, room_id).await?;
    let told = rooms.0.store.out_of_room_in(user, room_id).await.map_err(errors::broken)?;
    let mut failure = Failure::default();
    for server in candidates(rooms, via, told.as_ref(), room_id) {
        match knock_through(rooms, &server, user, room_id, &content).await {
            Ok((lpdu, state)) => {
                let hub = lpdu.hub_server().cloned();
                let entry = OutOfRoom {
                    user_id: user.clone(),
                    room_id: room_id.clone(),
                    room_version: lpdu.version(),
                    membership: Membership::Knock,
                    event_id: lpdu.event_id().clone(),
                    json: lpdu.json().into(),
                    stripped_state: stripped::received(&state),
                    via: hub.into_iter().chain([server]).collect(),
                    stream: 0,
                };
                return remember(rooms, entry).await;
            }
            Err(error) => failure.note(error),
        }
    }
    Err(failure.into_error())
}

/// Keeps what a local user has to do with a room from outside.
pub(crate) async fn remember(rooms: &Rooms, entry: OutOfRoom) -> Result<(), MatrixError> {
    let user = entry.user_id.clone();
    rooms.0.store.put_out_of_room(entry).await.map_err(errors::broken)?;
    rooms.0.wakes.wake(user.as_str());
    Ok(())
}

async fn decline(
    rooms: &Rooms,
    user: &UserId,
    room_id: &RoomId,
    content: &Map<String, Value>,
    told: &OutOfRoom,
) -> Option<Event> {
    for server in candidates(rooms, &[], Some(told), room_id) {
        let declined = decline_through(rooms, &server, user, room_id, content).await;
        match declined {
            Ok(lpdu) => return Some(lpdu),
            Err(error) => tracing::info!(%room_id, %server, %error, "the server did not take the leave"),
        }
    }
    None
}

async fn decline_through(
    rooms: &Rooms,
    server: &ServerName,
    user: &UserId,
    room_id: &RoomId,
    content: &Map<String, Value>,
) -> Result<Event, MatrixError> {
    let lpdu = handshake_lpdu(rooms, server, MembershipChange::Leave, user, room_id, content).await?;
    rooms.0.peers.send_leave(server, &lpdu).await?;
    Ok(lpdu)
}

async fn knock_through(
    rooms: &Rooms,
    server: &ServerName,
    user: &UserId,
    room_id: &RoomId,
    content: &Map<String, Value>,
) -> Result<(Event, Vec<Value>), MatrixError> {
    let lpdu = handshake_lpdu(rooms, server, MembershipChange::Knock, user, room_id, content).await?;
    let state = rooms.0.peers.send_knock(server, &lpdu).await?;
    Ok((lpdu, state))
}
