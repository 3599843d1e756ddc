//! Fetches the history from before a participant's join.

use axle_protocol::{EventId, MatrixError, RoomId};
use axle_store::{Direction, StoredEvent};
use serde::Deserialize;

use super::gaps::in_room_order;
use super::{Needs, Rooms, errors, received, refused};

/// The most events fetched at a time.
const MAX_PAGE: usize = 100;

/// Fetches history from before a position from the hub. Returns whether something came.
pub(crate) async fn fetch(rooms: &Rooms, room_id: &RoomId, before: i64, limit: usize) -> Result<bool, MatrixError> {
    let source = rooms.with(room_id, |turn| {
        let room = turn.slot.as_ref().filter(|room| !room.is_hub() && room.is_participating())?;
        Some((room.hub()?, room.version()))
    });
    let Some((hub, version)) = source.await? else { return Ok(false) };
    let Some(above) = oldest_above(rooms, room_id, before).await? else { return Ok(false) };
    let (Some(position), Some(from)) = (above.position, parent(&above)) else { return Ok(false) };
    let is_here = rooms.0.store.event(&from).await.map_err(errors::broken)?;
    if is_here.is_some_and(|event| event.position.is_some()) {
        return Ok(false);
    }
    let raws = rooms.0.peers.backfill(&hub, room_id, &from, limit.clamp(1, MAX_PAGE)).await?;
    let events = in_room_order(received::sound(rooms, &raws, version).await, &from);
    if events.is_empty() {
        return Ok(false);
    }
    let needs = Needs { events: events.into(), ..Needs::default() };
    let filled = rooms.with_needs(room_id, needs, move |turn, events| {
        let known = turn.known;
        let (room, batch) = turn.room()?;
        let change = room.fill_history(position, &from, events, known).map_err(refused)?;
        let came = !change.events.is_empty();
        batch.change.merge(change);
        Ok(came)
    });
    filled.await?
}

/// The oldest event that is here without a gap below `before`: what is to be fetched ends at its parent.
async fn oldest_above(rooms: &Rooms, room_id: &RoomId, before: i64) -> Result<Option<StoredEvent>, MatrixError> {
    let store = &*rooms.0.store;
    let above = store.timeline(room_id, Some(before), Direction::Forward, 1).await.map_err(errors::broken)?;
    if let Some(event) = above.into_iter().next() {
        return Ok(Some(event));
    }
    let newest = store.timeline(room_id, None, Direction::Backward, 1).await.map_err(errors::broken)?;
    Ok(newest.into_iter().next())
}

fn parent(event: &StoredEvent) -> Option<EventId> {
    #[derive(Deserialize)]
    struct Fields {
        prev_events: Vec<EventId>,
    }
    serde_json::from_str::<Fields>(&event.json).ok()?.prev_events.into_iter().next()
}
