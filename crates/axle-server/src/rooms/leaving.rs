//! Leaves that a hub does not send back: some hubs send nothing more to a server whose last user has left, not even that
//! leave; a hub that is down, perhaps for good, sends nothing at all; and one whose room keeps this server out by its
//! server ACL takes no leave. The user is out of the room all the same.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axle_protocol::event::Hash;
use axle_protocol::{Event, MatrixError, RoomId, RoomVersion, UserId};
use axle_room::{Refusal, Room, is_own_leave};
use axle_store::{PendingLpdu, StoreError};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::enter::send_member;
use super::{Rooms, send};

/// How long a hub may take to send a leave back, or to take it.
const ECHO_PATIENCE: Duration = Duration::from_secs(5);

/// Leaves of local users on their way to a hub. What is here is in the queue of LPDUs, too.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    leaves: Mutex<HashMap<Hash, Leave>>,
}

#[derive(Debug)]
struct Leave {
    lpdu: Event,
    /// It was queued before this server started: the hub may have taken it before.
    resumed: bool,
}

impl Leaving {
    /// Notes an LPDU that is being queued, if it is a leave.
    pub(crate) fn queued(&self, hash: &Hash, lpdu: &Event) {
        if is_own_leave(lpdu) {
            self.lock().insert(*hash, Leave { lpdu: lpdu.clone(), resumed: false });
        }
    }

    /// Notes what was in the queue when the server started.
    pub(crate) fn resume(&self, queued: &[PendingLpdu]) {
        // Every linearized version has the same format.
        let parse = |lpdu: &PendingLpdu| Event::parse(lpdu.json.as_bytes(), RoomVersion::I1).ok();
        let parsed = queued.iter().filter_map(|lpdu| Some((lpdu.lpdu_hash, parse(lpdu)?)));
        let leaves = parsed.filter(|(_, lpdu)| is_own_leave(lpdu));
        self.lock().extend(leaves.map(|(hash, lpdu)| (hash, Leave { lpdu, resumed: true })));
    }

    /// What is on its way of this user in this room.
    fn of(&self, user: &UserId, room_id: &RoomId) -> Option<(Hash, Event)> {
        let leaves = self.lock();
        let mut leaves = leaves.iter().map(|(hash, leave)| (hash, &leave.lpdu));
        let (hash, lpdu) = leaves.find(|(_, lpdu)| lpdu.sender() == user && lpdu.room_id() == room_id)?;
        Some((*hash, lpdu.clone()))
    }

    fn take(&self, hash: &Hash) -> Option<Leave> {
        self.lock().remove(hash)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Leave>> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.leaves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a local user out of a room that this server is in. If its hub does not answer, the user is out of it here, and the
/// leave stays queued: the hub and the others learn of it when the hub is back.
pub(crate) async fn leave(
    rooms: &Rooms,
    user: &UserId,
    room_id: &RoomId,
    content: Map<String, Value>,
) -> Result<(), MatrixError> {
    let mut sent = pin!(send_member(rooms, user, room_id, content));
    if let Ok(answer) = timeout(ECHO_PATIENCE, &mut sent).await {
        return answer;
    }
    // One that the hub has taken is seen to when it does not come back.
    let Some((_, lpdu)) = rooms.0.leaving.of(user, room_id) else { return sent.await };
    let left = rooms.with(room_id, move |turn| {
        let (room, batch) = turn.room()?;
        match room.leave_early(&lpdu) {
            Err(Refusal::Busy) => return Ok(false),
            change => batch.change.merge(change.map_err(super::refused)?),
        }
        Ok::<_, MatrixError>(true)
    });
    if !left.await?? {
        return sent.await;
    }
    tracing::info!(%room_id, %user, "a user left while the room's hub does not answer");
    Ok(())
}

/// Waits until the hub has answered to a leave of this user that was queued: what is sent past the queue must not come there
/// first.
pub(crate) async fn delivered(rooms: &Rooms, user: &UserId, room_id: &RoomId) -> Result<(), MatrixError> {
    let Some((hash, lpdu)) = rooms.0.leaving.of(user, room_id) else { return Ok(()) };
    let mut echo = rooms.0.echoes.wait(hash);
    if !is_queued(rooms, &hash, &lpdu).await.map_err(super::errors::broken)? {
        return Ok(());
    }
    if let Some(hub) = lpdu.hub_server() {
        rooms.0.outbound.wake_lpdus(hub, room_id);
    }
    match timeout(send::ECHO_TIMEOUT, echo.outcome()).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(MatrixError::unknown("The server is shutting down.")),
        Err(_) => Err(MatrixError::gateway_timeout("The room's hub does not answer to the leave before this.")),
    }
}

/// The hub has taken this LPDU. A leave that does not come back is seen to in the background.
pub(crate) fn taken(rooms: &Rooms, hash: &Hash) {
    let Some(leave) = rooms.0.leaving.take(hash) else { return };
    let (rooms, hash) = (rooms.clone(), *hash);
    tokio::spawn(async move {
        if let Err(error) = end_unless_echoed(&rooms, &hash, &leave.lpdu).await {
            // It is still queued, and is sent and seen to again after the next start.
            tracing::warn!(room_id = %leave.lpdu.room_id(), %error, "a leave could not be finished");
        }
    });
}

/// The hub refuses an LPDU. `true`: it was a leave, and is done: most likely the hub had taken it before; or the room's
/// server ACL keeps us out, so that the hub will never take it.
pub(crate) async fn refused(rooms: &Rooms, hash: &Hash) -> bool {
    let Some(leave) = rooms.0.leaving.take(hash) else { return false };
    let is_out = leave.resumed || is_kept_out(rooms, &leave.lpdu).await.unwrap_or(false);
    is_out && end(rooms, hash, &leave.lpdu).await.unwrap_or(false)
}

async fn is_kept_out(rooms: &Rooms, lpdu: &Event) -> Result<bool, MatrixError> {
    rooms.with(lpdu.room_id(), |turn| turn.slot.as_ref().is_some_and(Room::keeps_us_out)).await
}

async fn end_unless_echoed(rooms: &Rooms, hash: &Hash, lpdu: &Event) -> Result<(), MatrixError> {
    let mut echo = rooms.0.echoes.wait(*hash);
    // It may have come before the hub's answer.
    if !is_queued(rooms, hash, lpdu).await.map_err(super::errors::broken)? {
        return Ok(());
    }
    if timeout(ECHO_PATIENCE, echo.outcome()).await.is_err() {
        end(rooms, hash, lpdu).await?;
    }
    Ok(())
}

/// Takes the user out of the room as it is known here. `false`: not unless the hub sends the leave.
async fn end(rooms: &Rooms, hash: &Hash, lpdu: &Event) -> Result<bool, MatrixError> {
    let leave = lpdu.clone();
    let ended = rooms.with(lpdu.room_id(), move |turn| {
        let (room, batch) = turn.room()?;
        let change = room.end_stay(&leave).map_err(super::refused)?;
        let ended = !change.is_empty();
        batch.change.merge(change);
        Ok::<_, MatrixError>(ended)
    });
    let ended = ended.await??;
    if ended {
        tracing::info!(room_id = %lpdu.room_id(), user = %lpdu.sender(), "a leave ended without coming back from the hub");
        rooms.0.echoes.arrived(hash, Ok(lpdu.event_id().clone()));
        rooms.0.wakes.wake(lpdu.sender().as_str());
    }
    Ok(ended)
}

async fn is_queued(rooms: &Rooms, hash: &Hash, lpdu: &Event) -> Result<bool, StoreError> {
    let queued = rooms.0.store.pending_lpdus(Some(lpdu.room_id())).await?;
    Ok(queued.iter().any(|queued| queued.lpdu_hash == *hash))
}
