//! What happened since the store was opened, and to what: most syncs are woken by one thing, and need not look for all
//! the others.
//!
//! The writer says it when a transaction is durable, before the stream position that it ends with can be asked for. So
//! whoever asks about the time up to such a position is told of all that happened until there.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axle_protocol::UserId;

use super::recent::Recent;
use super::writer::Effects;

/// When something happened last, by what it was.
pub(super) struct Lately {
    /// In a room, whatever it was.
    rooms: Mutex<Recent<i64>>,
    /// Somebody read in a room.
    receipts: Mutex<Recent<i64>>,
    /// A room's current state changed.
    state: Mutex<Recent<i64>>,
    /// A user's account data changed, or there was a message for a device of theirs.
    users: Mutex<Recent<UserId>>,
    /// Keys of anybody changed.
    keys: AtomicI64,
    /// Any hub did something wrong.
    faults: AtomicI64,
}

impl Lately {
    /// Knows what happens beyond a stream position.
    pub(super) fn from(stream: i64) -> Self {
        Self {
            rooms: Mutex::new(Recent::from(stream)),
            receipts: Mutex::new(Recent::from(stream)),
            state: Mutex::new(Recent::from(stream)),
            users: Mutex::new(Recent::from(stream)),
            keys: AtomicI64::new(stream),
            faults: AtomicI64::new(stream),
        }
    }

    /// Knows nothing, ever: another process writes.
    pub(super) fn blind() -> Self {
        Self::from(i64::MAX)
    }

    /// A transaction is durable.
    pub(super) fn add(&self, effects: &Effects) {
        for (kept, happened) in
            [(&self.rooms, &effects.rooms), (&self.receipts, &effects.receipts), (&self.state, &effects.state)]
        {
            let mut kept = lock(kept);
            happened.iter().for_each(|(room, stream)| kept.add(room, *stream));
        }
        let mut users = lock(&self.users);
        effects.users.iter().for_each(|(user_id, stream)| users.add(user_id, *stream));
        self.keys.fetch_max(effects.keys, Ordering::Release);
        self.faults.fetch_max(effects.faults, Ordering::Release);
    }

    /// The rooms in which something happened beyond a stream position; see [`Recent::after`].
    pub(super) fn rooms_after(&self, stream: i64, most: usize) -> Option<Vec<i64>> {
        lock(&self.rooms).after(stream, most)
    }

    /// Those in which somebody read.
    pub(super) fn rooms_with_receipts_after(&self, stream: i64, most: usize) -> Option<Vec<i64>> {
        lock(&self.receipts).after(stream, most)
    }

    /// Whether it is known that nobody read in a room beyond a stream position.
    pub(super) fn no_receipts(&self, room: i64, after: i64) -> bool {
        lock(&self.receipts).is_quiet(&room, after)
    }

    /// Whether it is known that a room's current state did not change.
    pub(super) fn no_state_changes(&self, room: i64, after: i64) -> bool {
        lock(&self.state).is_quiet(&room, after)
    }

    /// Whether it is known that a user's account data did not change, and that there was no message for their devices.
    pub(super) fn nothing_for(&self, user_id: &UserId, after: i64) -> bool {
        lock(&self.users).is_quiet(user_id, after)
    }

    /// Whether it is known that nobody's keys changed.
    pub(super) fn no_key_changes(&self, after: i64) -> bool {
        self.keys.load(Ordering::Acquire) <= after
    }

    /// Whether it is known that no hub did anything wrong.
    pub(super) fn no_faults(&self, after: i64) -> bool {
        self.faults.load(Ordering::Acquire) <= after
    }
}

fn lock<K>(recent: &Mutex<Recent<K>>) -> MutexGuard<'_, Recent<K>> {
    // Nothing panics while it is held.
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}
