//! What a hub did that it should not have: counted, logged, kept for the operator and for the room's users.

use axle_protocol::Event;
use axle_room::{Change, Fault, FaultKind, Room};
use axle_store::{Direction, HubFault, Store, StoreError, StoredEvent};

use super::{Shared, commit, now_ms};

/// The longest text that is kept about a fault, in characters: parts of it are the hub's.
const MAX_DETAIL_CHARS: usize = 500;

/// How many events that a fork may leave out prove nothing. Hubs that make no chain give events that come to them at the
/// same time the same parent.
const MAX_FORK_LEFT_OUT: i64 = 1;

/// How many of the last events before a fork must be a chain for its hub to count as one that makes chains.
const CHAIN_WITNESSES: usize = 16;

/// Notes faults of a room's hub, before the change by which they show is stored. They are durable when this returns, and
/// users who wait for news learn of them. What proves nothing is logged only: there are hubs that do so with every event.
pub(super) async fn note(shared: &Shared, room: &Room, change: &Change) -> Result<(), StoreError> {
    let mut faults = Vec::new();
    for fault in &change.faults {
        match broken_chain(&*shared.store, room, change, &fault.kind).await? {
            Some(kind) => faults.push(Fault { event_id: fault.event_id.clone(), kind }),
            None if fault.kind.is_proof() => faults.push(fault.clone()),
            None => {
                let Fault { event_id, kind } = fault;
                tracing::debug!(room_id = %room.id(), %event_id, "the hub does what is not expected of it: {kind}");
            }
        }
    }
    keep(shared, room, faults).await
}

async fn keep(shared: &Shared, room: &Room, faults: Vec<Fault>) -> Result<(), StoreError> {
    let Some(hub) = room.hub().filter(|_| !faults.is_empty()) else { return Ok(()) };
    let at = now_ms();
    let kept = faults.iter().map(|fault| HubFault {
        room_id: room.id().clone(),
        hub: hub.clone(),
        event_id: fault.event_id.clone(),
        kind: fault.kind.name().to_owned(),
        detail: fault.kind.to_string().chars().take(MAX_DETAIL_CHARS).collect(),
        at,
        stream: 0,
    });
    shared.store.put_faults(kept.collect()).await?;
    for fault in &faults {
        shared.counters.fault();
        tracing::warn!(room_id = %room.id(), %hub, event_id = %fault.event_id, "the hub did wrong: {}", fault.kind);
    }
    commit::wake_members(shared, room);
    Ok(())
}

/// What a fork proves, if anything: a hub that has made a chain so far leaves out several events of it. That is how a hub
/// looks that was restored from a backup, or that tells others another history.
async fn broken_chain(
    store: &dyn Store,
    room: &Room,
    change: &Change,
    kind: &FaultKind,
) -> Result<Option<FaultKind>, StoreError> {
    let (FaultKind::Forked { parent: Some(parent), .. }, Some(head)) = (kind, change.expected_head) else {
        return Ok(None);
    };
    let left_out = head - parent;
    if left_out <= MAX_FORK_LEFT_OUT {
        return Ok(None);
    }
    let last = store.timeline(room.id(), Some(head), Direction::Backward, CHAIN_WITNESSES).await?;
    if !is_chain(&last) {
        return Ok(None);
    }
    let parent = store.timeline(room.id(), Some(*parent), Direction::Backward, 1).await?;
    Ok(parent.into_iter().next().map(|parent| FaultKind::BrokenChain { after: parent.event_id, left_out }))
}

/// Whether each of these events, the newest first, has the one before it as its only parent, as far as they follow each
/// other without a jump in their positions: behind one lies an earlier stay.
fn is_chain(events: &[StoredEvent]) -> bool {
    events.iter().zip(events.iter().skip(1)).all(|(event, before)| {
        let follows = event.position.zip(before.position).is_some_and(|(at, before)| at == before + 1);
        let parsed = Event::parse(event.json.as_bytes(), event.room_version);
        !follows || parsed.is_ok_and(|event| event.prev_events() == std::slice::from_ref(&before.event_id))
    })
}
