//! The versions of rooms, which never change.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axle_protocol::{RoomId, RoomVersion};
use lru::LruCache;

/// Versions in memory.
const CAPACITY: usize = 4_096;

/// What was looked up last.
pub(crate) struct Versions(Mutex<LruCache<RoomId, RoomVersion>>);

impl Versions {
    pub(crate) fn get(&self, room_id: &RoomId) -> Option<RoomVersion> {
        self.lock().get(room_id).copied()
    }

    pub(crate) fn put(&self, room_id: &RoomId, version: RoomVersion) {
        self.lock().put(room_id.clone(), version);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<RoomId, RoomVersion>> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(CAPACITY).unwrap_or(NonZeroUsize::MIN))))
    }
}
