//! Rooms by their ids: whatever is read of a room begins with looking it up.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use axle_protocol::RoomId;
use lru::LruCache;
use rusqlite::Connection;

use super::rows::{self, Room};
use crate::StoreError;

/// Rooms that are kept.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(16 * 1024).unwrap();

/// Rooms that were looked up. They are never removed, and nothing that is kept of them ever changes.
pub(super) struct KnownRooms(Mutex<LruCache<RoomId, Room>>);

impl Default for KnownRooms {
    fn default() -> Self {
        // Grows with what is in it.
        let mut kept = LruCache::unbounded();
        kept.resize(MAX_KEPT);
        Self(Mutex::new(kept))
    }
}

impl KnownRooms {
    /// Looks a room up. Not for who writes: the transaction that made the room may be undone.
    pub(super) fn find(&self, conn: &Connection, room_id: &RoomId) -> Result<Option<Room>, StoreError> {
        if let Some(room) = self.get(room_id) {
            return Ok(Some(room));
        }
        let found = rows::room(conn, room_id)?;
        if let Some(room) = found {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).put(room_id.clone(), room);
        }
        Ok(found)
    }

    /// A room that was looked up before.
    pub(super) fn get(&self, room_id: &RoomId) -> Option<Room> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(room_id).copied()
    }
}
