//! Looks for what became of LPDUs that were sent before this server came into a room anew, where that does not come by itself.

use std::time::Duration;

use axle_protocol::{EventId, MatrixError, RoomId, RoomVersion, ServerName};
use axle_store::Direction;

use super::background::Pauses;
use super::gaps::{FIRST_PAUSE, in_room_order, is_definitive};
use super::{Needs, PeerError, Rooms, errors, received};

/// Events asked for at a time.
const PAGE: usize = 100;
/// How many pages are asked for. What is further behind the join is not looked for.
const MAX_PAGES: usize = 100;

/// Looks in the background, unless that is under way, or there is nothing to be looked for.
pub(super) fn look(rooms: &Rooms, room_id: &RoomId) {
    if !rooms.0.behind.begin(room_id) {
        return;
    }
    let (rooms, room_id) = (rooms.clone(), room_id.clone());
    tokio::spawn(async move {
        loop {
            if let Err(error) = run(&rooms, &room_id).await {
                tracing::warn!(%room_id, %error, "what is behind a join could not be looked through");
            }
            if rooms.0.behind.finished(&room_id) {
                return;
            }
        }
    });
}

/// A room whose hub is asked.
struct Asked {
    hub: ServerName,
    version: RoomVersion,
    join: i64,
}

async fn run(rooms: &Rooms, room_id: &RoomId) -> Result<(), MatrixError> {
    let asked = rooms.with(room_id, |turn| {
        let room = turn.slot.as_ref()?;
        Some(Asked { join: room.behind()?, hub: room.hub()?, version: room.version() })
    });
    let Some(asked) = asked.await? else { return Ok(()) };
    let join = rooms.0.store.timeline(room_id, Some(asked.join), Direction::Forward, 1).await;
    let join = join.map_err(errors::broken)?.into_iter().next();
    let mut from = join.map(|join| join.event_id);
    for _ in 0..MAX_PAGES {
        let Some(last) = from else { break };
        from = page(rooms, room_id, &asked, last).await?;
    }
    Ok(())
}

/// Looks through one page; returns where the next one begins.
async fn page(rooms: &Rooms, room_id: &RoomId, asked: &Asked, from: EventId) -> Result<Option<EventId>, MatrixError> {
    let mut pauses = Pauses::new(FIRST_PAUSE);
    let raws = loop {
        let wait = match rooms.0.peers.backfill(&asked.hub, room_id, &from, PAGE).await {
            Ok(raws) => break raws,
            Err(PeerError::Refused(refusal)) if is_definitive(&refusal) => return Ok(None),
            Err(PeerError::Refused(refusal)) => refusal.retry_after_ms.map(Duration::from_millis),
            Err(PeerError::Unreachable(_)) => None,
        };
        if !pauses.wait(rooms, wait).await {
            return Ok(None);
        }
    };
    let events = in_room_order(received::sound(rooms, &raws, asked.version).await, &from);
    let needs = Needs { events: events.into(), ..Needs::default() };
    let looked = rooms.with_needs(room_id, needs, move |turn, events| {
        let known = turn.known;
        let (room, batch) = turn.room()?;
        let behind = room.look_behind(&from, events, known);
        batch.change.merge(behind.change);
        Ok::<_, MatrixError>(behind.from)
    });
    looked.await?
}
