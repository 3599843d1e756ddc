//! Counts for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What happened in all rooms since the start.
#[derive(Debug, Default)]
pub struct Counters {
    accepted: AtomicU64,
    faults: AtomicU64,
}

impl Counters {
    /// Events that got a place in a room.
    pub fn events_accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Times that a hub did what it should not have done.
    pub fn hub_faults(&self) -> u64 {
        self.faults.load(Relaxed)
    }

    pub(super) fn accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    pub(super) fn fault(&self) {
        self.faults.fetch_add(1, Relaxed);
    }
}
