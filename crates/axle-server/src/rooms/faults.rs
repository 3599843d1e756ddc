//! What a hub did that it should not have: counted, logged, kept for the operator and for the room's users.

use axle_room::{Fault, Room};
use axle_store::{HubFault, StoreError};

use super::{Shared, commit, now_ms};

/// The longest text that is kept about a fault, in characters: parts of it are the hub's.
const MAX_DETAIL_CHARS: usize = 500;

/// Notes faults of a room's hub. They are durable when this returns, and users who wait for news learn of them. What
/// proves nothing is logged only: there are hubs that do so with every event.
pub(super) async fn note(shared: &Shared, room: &Room, faults: &[Fault]) -> Result<(), StoreError> {
    let (faults, oddities): (Vec<&Fault>, Vec<&Fault>) = faults.iter().partition(|fault| fault.kind.is_proof());
    for Fault { event_id, kind } in oddities {
        tracing::debug!(room_id = %room.id(), %event_id, "the hub does what is not expected of it: {kind}");
    }
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
    for fault in faults {
        shared.counters.fault();
        tracing::warn!(room_id = %room.id(), %hub, event_id = %fault.event_id, "the hub did wrong: {}", fault.kind);
    }
    commit::wake_members(shared, room);
    Ok(())
}
