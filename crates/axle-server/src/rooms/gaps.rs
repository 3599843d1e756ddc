//! Fetches what a participant has missed of its hub's order.

use std::time::Duration;

use axle_protocol::{EventId, MatrixError, RoomId, RoomVersion, ServerName};
use axle_room::{Filled, Room, Verified};

use super::background::Pauses;
use super::{Batch, Needs, PeerError, Rooms, Turn, received};

/// Events asked for at a time.
const PAGE: usize = 100;
/// The first pause after a failure; doubled each time.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How often an answer is asked for again because it holds events whose signatures cannot be checked: the servers whose
/// keys are needed are away, perhaps for good. About five minutes.
const KEY_TRIES: u32 = 10;

/// Fills the gap of a room in the background, unless that is under way.
pub(crate) fn fill(rooms: &Rooms, room_id: &RoomId) {
    if !rooms.0.gaps.begin(room_id) {
        return;
    }
    let (rooms, room_id) = (rooms.clone(), room_id.clone());
    tokio::spawn(async move {
        loop {
            run(&rooms, &room_id).await;
            if rooms.0.gaps.finished(&room_id) {
                return;
            }
        }
    });
}

/// What is missing of a room.
struct Missing {
    hub: ServerName,
    version: RoomVersion,
    from: EventId,
}

/// How one attempt went.
enum Step {
    Closed,
    Progress,
    /// The hub does not have it, or does not give it.
    Refused,
    /// To be tried again, after this long if the hub said so.
    Failed(Option<Duration>),
    /// To be tried again when keys can be had.
    NoKeys,
}

async fn run(rooms: &Rooms, room_id: &RoomId) {
    let mut pauses = Pauses::new(FIRST_PAUSE);
    let mut key_tries = 0;
    loop {
        let step = match missing(rooms, room_id).await {
            Ok(Some(missing)) => fetch(rooms, room_id, missing, key_tries < KEY_TRIES).await,
            Ok(None) => Ok(Step::Closed),
            Err(error) => Err(error),
        };
        let wait = match step {
            Ok(Step::Closed) => return,
            Ok(Step::Progress) => {
                pauses.begin_anew();
                key_tries = 0;
                continue;
            }
            Ok(Step::Refused) => {
                match give_up(rooms, room_id).await {
                    // What waits after it may be behind another gap.
                    Ok(()) => {
                        pauses.begin_anew();
                        key_tries = 0;
                    }
                    Err(error) => tracing::warn!(%room_id, %error, "a gap could not be given up"),
                }
                continue;
            }
            Ok(Step::NoKeys) => {
                key_tries += 1;
                None
            }
            Ok(Step::Failed(wait)) => wait,
            Err(error) => {
                tracing::warn!(%room_id, %error, "filling a gap failed");
                None
            }
        };
        if !pauses.wait(rooms, wait).await {
            return;
        }
    }
}

async fn missing(rooms: &Rooms, room_id: &RoomId) -> Result<Option<Missing>, MatrixError> {
    rooms.with(room_id, |turn| missing_of(turn.slot.as_ref()?, turn)).await
}

fn missing_of(room: &Room, turn: &Turn<'_>) -> Option<Missing> {
    Some(Missing { hub: room.hub()?, version: room.version(), from: room.backfill_from(turn.known)? })
}

/// `waits_for_keys`: an answer is not taken while signatures in it cannot be checked.
async fn fetch(rooms: &Rooms, room_id: &RoomId, missing: Missing, waits_for_keys: bool) -> Result<Step, MatrixError> {
    let answer = rooms.0.peers.backfill(&missing.hub, room_id, &missing.from, PAGE).await;
    let raws = match answer {
        Ok(raws) => raws,
        Err(PeerError::Refused(refusal)) if is_definitive(&refusal) => return Ok(Step::Refused),
        Err(PeerError::Refused(refusal)) => return Ok(Step::Failed(refusal.retry_after_ms.map(Duration::from_millis))),
        Err(PeerError::Unreachable(_)) => return Ok(Step::Failed(None)),
    };
    let (events, lacks_keys) = received::sound_as_far_as_known(rooms, &raws, missing.version).await;
    if lacks_keys && waits_for_keys {
        return Ok(Step::NoKeys);
    }
    let events = in_room_order(events, &missing.from);
    let needs = Needs { events: events.into(), ..Needs::default() };
    let filled = rooms.with_needs(room_id, needs, move |turn, events| {
        let known = turn.known;
        let (room, batch) = turn.room()?;
        Ok::<_, MatrixError>(take(room.fill_gap(&missing.from, events, known), batch))
    });
    filled.await?
}

fn take(filled: Filled, batch: &mut Batch) -> Step {
    let (change, step) = match filled {
        Filled::Closed(change) => (change, Step::Closed),
        Filled::Missing { change, .. } => (change, Step::Progress),
        Filled::Stuck(change) => (change, Step::Refused),
    };
    batch.change.merge(change);
    step
}

/// Goes on without what is missing, marked as such; with the state that the hub says to hold after it.
async fn give_up(rooms: &Rooms, room_id: &RoomId) -> Result<(), MatrixError> {
    let first = rooms.with(room_id, |turn| {
        let room = turn.slot.as_ref()?;
        Some((room.hub()?, room.version(), room.first_waiting()?.event_id().clone()))
    });
    let Some((hub, version, first)) = first.await? else { return Ok(()) };
    let (state, chain) = match rooms.0.peers.state(&hub, room_id, &first).await {
        Ok((state, chain)) => {
            (received::sound(rooms, &state, version).await, received::sound(rooms, &chain, version).await)
        }
        Err(error) => {
            tracing::warn!(%room_id, %error, "the hub does not tell the state after a gap");
            (Vec::new(), Vec::new())
        }
    };
    let states = state.len();
    let needs = Needs { events: state.into_iter().chain(chain).collect(), ..Needs::default() };
    let given_up = rooms.with_needs(room_id, needs, move |turn, events| {
        let known = turn.known;
        let (room, batch) = turn.room()?;
        let (state, chain) = events.split_at(states);
        batch.change.merge(room.give_up_gap(state, chain, known));
        Ok(())
    });
    given_up.await?
}

/// Oldest first, as the draft has it; there are hubs that answer newest first.
pub(crate) fn in_room_order(mut events: Vec<Verified>, newest: &EventId) -> Vec<Verified> {
    if events.len() > 1 && events.first().is_some_and(|first| first.event().event_id() == newest) {
        events.reverse();
    }
    events
}

/// Whether asking again would bring the same answer.
pub(super) fn is_definitive(refusal: &MatrixError) -> bool {
    matches!(refusal.status, 400 | 403 | 404 | 405)
}
