//! Joins under way: one at a time a room, and what the hub sends before its answer to the join is here.
//!
//! Hubs may send the echo of a join, and what follows it, before they answer `send_join`, and some wait for us to take
//! it. It is kept in memory: were we to crash, the join itself would not have happened either.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axle_protocol::{RoomId, ServerName};
use axle_room::Verified;

/// Events kept for a room that is being joined. What comes beyond is a gap, and fetched as one.
const MAX_EARLY: usize = 1_000;

/// Rooms that are being joined.
#[derive(Debug, Default)]
pub(crate) struct Joining {
    rooms: Mutex<HashMap<RoomId, Entering>>,
}

#[derive(Debug, Default)]
struct Entering {
    turn: Arc<tokio::sync::Mutex<()>>,
    joiners: usize,
    keeps: bool,
    early: Vec<(ServerName, Verified)>,
}

/// The right to join a room.
pub(crate) struct Joiner<'a> {
    joining: &'a Joining,
    room_id: RoomId,
    turn: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Joining {
    /// Waits for the right to join a room. From then on early events are kept.
    pub(crate) async fn enter(&self, room_id: &RoomId) -> Joiner<'_> {
        let turn = {
            let mut rooms = self.lock();
            let entering = rooms.entry(room_id.clone()).or_default();
            entering.joiners += 1;
            entering.turn.clone()
        };
        let mut joiner = Joiner { joining: self, room_id: room_id.clone(), turn: None };
        joiner.turn = Some(turn.lock_owned().await);
        if let Some(entering) = self.lock().get_mut(room_id) {
            entering.keeps = true;
        }
        joiner
    }

    /// Keeps an event for a room that is being joined. `false`: it is not being joined, or not any more.
    pub(crate) fn keep(&self, room_id: &RoomId, origin: &ServerName, event: &Verified) -> bool {
        let mut rooms = self.lock();
        let Some(entering) = rooms.get_mut(room_id).filter(|entering| entering.keeps) else { return false };
        if entering.early.len() < MAX_EARLY {
            entering.early.push((origin.clone(), event.clone()));
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Entering>> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Joiner<'_> {
    /// What was kept since the last call. When there is nothing, nothing is kept any more.
    pub(crate) fn early(&self) -> Vec<(ServerName, Verified)> {
        let mut rooms = self.joining.lock();
        let Some(entering) = rooms.get_mut(&self.room_id) else { return Vec::new() };
        let early = std::mem::take(&mut entering.early);
        entering.keeps = !early.is_empty();
        early
    }
}

impl Drop for Joiner<'_> {
    fn drop(&mut self) {
        let mut rooms = self.joining.lock();
        let Some(entering) = rooms.get_mut(&self.room_id) else { return };
        entering.joiners -= 1;
        if self.turn.is_some() {
            entering.keeps = false;
            entering.early.clear();
        }
        if entering.joiners == 0 {
            rooms.remove(&self.room_id);
        }
    }
}
