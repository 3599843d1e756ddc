//! What other servers may read: events, state, history.

use std::sync::Arc;

use axle_federation::endpoints::{MAX_BACKFILL, MAX_FOLLOWING};
use axle_federation::{RoomStateAt, StateIds};
use axle_protocol::{EventId, MatrixError, RoomId, ServerName};
use axle_room::Refusal;
use axle_store::{Direction, EventStatus, StoredEvent};

use super::visibility::{self, Sight};
use super::{Rooms, chain, errors, refused, restored, unknown_room};

/// `GET /event`.
pub(crate) async fn event(rooms: &Rooms, origin: &ServerName, event_id: &EventId) -> Result<Arc<str>, MatrixError> {
    let stored = find(rooms, None, event_id).await?;
    let is_in_room = reader(rooms, origin, &stored.room_id).await?.is_in_room;
    let run = std::slice::from_ref(&stored);
    let sight = sights(rooms, &stored.room_id, origin, is_in_room, run).await?;
    sight.first().and_then(|sight| sight.copy(&stored)).ok_or_else(|| missing(rooms, Some(&stored.room_id)))
}

/// `GET /state`.
pub(crate) async fn state(
    rooms: &Rooms,
    origin: &ServerName,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<RoomStateAt, MatrixError> {
    let (state, auth_chain, sight) = state_before(rooms, origin, room_id, event_id).await?;
    let copies =
        async |events: &[StoredEvent]| sight.copies_of_state(&*rooms.0.store, events).await.map_err(errors::broken);
    Ok(RoomStateAt { pdus: copies(&state).await?, auth_chain: copies(&auth_chain).await? })
}

/// `GET /state_ids`.
pub(crate) async fn state_ids(
    rooms: &Rooms,
    origin: &ServerName,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<StateIds, MatrixError> {
    let (state, auth_chain, _) = state_before(rooms, origin, room_id, event_id).await?;
    let ids = |events: Vec<StoredEvent>| events.into_iter().map(|event| event.event_id).collect();
    Ok(StateIds { pdu_ids: ids(state), auth_chain_ids: ids(auth_chain) })
}

/// `GET /backfill`.
pub(crate) async fn backfill(
    rooms: &Rooms,
    origin: &ServerName,
    room_id: &RoomId,
    from: &EventId,
    limit: usize,
) -> Result<Vec<Arc<str>>, MatrixError> {
    let is_in_room = reader(rooms, origin, room_id).await?.is_in_room;
    let start = find(rooms, Some(room_id), from).await?;
    // Whether it may be seen is asked in any case.
    let read = limit.clamp(1, MAX_BACKFILL);
    let run = rooms.0.store.timeline(room_id, start.position, Direction::Backward, read).await;
    let mut run = run.map_err(errors::broken)?;
    run.reverse();
    let sights = sights(rooms, room_id, origin, is_in_room, &run).await?;
    if sights.last().is_none_or(|sight| *sight == Sight::Hidden) {
        return Err(missing(rooms, Some(room_id)));
    }
    Ok(run.iter().zip(&sights).take(limit).filter_map(|(event, sight)| sight.copy(event)).collect())
}

/// `GET /following`: of the hub's own order, so nobody else is answered, and all of it. Whose events wait for a gap to be filled
/// has more to tell later.
pub(crate) async fn following(
    rooms: &Rooms,
    origin: &ServerName,
    room_id: &RoomId,
    after: &EventId,
    limit: usize,
) -> Result<Vec<Arc<str>>, MatrixError> {
    let reader = reader(rooms, origin, room_id).await?;
    if reader.other_hub.as_ref() != Some(origin) {
        return Err(MatrixError::forbidden("Only the room's hub may ask for what comes after an event."));
    }
    let after = match find(rooms, Some(room_id), after).await {
        Err(_) if reader.has_gap => return Err(restored::not_all_here()),
        found => found?,
    };
    let (next, read) = (after.position.map(|position| position + 1), limit.clamp(1, MAX_FOLLOWING));
    let run = rooms.0.store.timeline(room_id, next, Direction::Forward, read).await.map_err(errors::broken)?;
    if run.is_empty() && reader.has_gap {
        return Err(restored::not_all_here());
    }
    Ok(run.iter().take(limit).map(visibility::whole).collect())
}

/// 404 unless this server is in the room: one answer for rooms that it is not in and for those that do not exist.
pub(crate) async fn require_in_room(rooms: &Rooms, origin: &ServerName, room_id: &RoomId) -> Result<(), MatrixError> {
    match reader(rooms, origin, room_id).await {
        Ok(Reader { is_in_room: true, .. }) => Ok(()),
        Err(error) if error.status != 404 => Err(error),
        _ => Err(MatrixError::not_found("The room is not known to this server.")),
    }
}

/// 404, or 429 where what is not to be seen now may have been forgotten: who hears that it does not exist gives it up.
fn missing(rooms: &Rooms, room_id: Option<&RoomId>) -> MatrixError {
    if rooms.0.restored.may_lack(room_id) {
        return restored::held();
    }
    MatrixError::not_found("The event is not known to this server.")
}

/// Who reads.
struct Reader {
    is_in_room: bool,
    /// The hub, if it is not us.
    other_hub: Option<ServerName>,
    /// Events of the room wait here for others that are missing.
    has_gap: bool,
}

/// Refuses who is kept out, by the operator or by the room: 403.
async fn reader(rooms: &Rooms, origin: &ServerName, room_id: &RoomId) -> Result<Reader, MatrixError> {
    rooms.0.blocks.now(&*rooms.0.store).await.map_err(errors::broken)?.check_server(origin)?;
    let origin = origin.clone();
    let reader = rooms.with(room_id, move |turn| {
        let room = turn.slot.as_ref().ok_or_else(unknown_room)?;
        room.check_server(origin.as_str()).map_err(refused)?;
        let other_hub = room.hub().filter(|_| !room.is_hub());
        let (is_in_room, has_gap) = (room.state().has_server(origin.as_str()), room.waiting() > 0);
        Ok::<_, MatrixError>(Reader { is_in_room, other_hub, has_gap })
    });
    reader.await?
}

/// An event that has a place in a room: in this one, if it is said which.
async fn find(rooms: &Rooms, room_id: Option<&RoomId>, event_id: &EventId) -> Result<StoredEvent, MatrixError> {
    let stored = rooms.0.store.event(event_id).await.map_err(errors::broken)?;
    let has_place = |event: &StoredEvent| event.position.is_some() && !matches!(event.status, EventStatus::Rejected);
    let is_there = |event: &StoredEvent| room_id.is_none_or(|room_id| event.room_id == *room_id);
    stored.filter(|event| has_place(event) && is_there(event)).ok_or_else(|| missing(rooms, room_id))
}

async fn sights(
    rooms: &Rooms,
    room_id: &RoomId,
    origin: &ServerName,
    is_in_room: bool,
    run: &[StoredEvent],
) -> Result<Vec<Sight>, MatrixError> {
    visibility::sights(&*rooms.0.store, room_id, origin, is_in_room, run).await.map_err(errors::broken)
}

async fn state_before(
    rooms: &Rooms,
    origin: &ServerName,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<(Vec<StoredEvent>, Vec<StoredEvent>, Sight), MatrixError> {
    let reader = reader(rooms, origin, room_id).await?;
    if let Some(hub) = reader.other_hub {
        return Err(refused(Refusal::NotHub(hub)));
    }
    let at = find(rooms, Some(room_id), event_id).await?;
    let hidden = || missing(rooms, Some(room_id));
    let position = at.position.ok_or_else(hidden)?;
    let sight = sights(rooms, room_id, origin, reader.is_in_room, std::slice::from_ref(&at)).await?;
    let sight = sight.first().copied().filter(|sight| *sight != Sight::Hidden).ok_or_else(hidden)?;
    let store = &*rooms.0.store;
    let mut state = store.state_before(room_id, position).await.map_err(errors::broken)?;
    state.sort_by_key(|event| event.position);
    let auth_chain = chain::auth_chain(store, room_id, &state).await.map_err(errors::broken)?;
    Ok((state, auth_chain, sight))
}
