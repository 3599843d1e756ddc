//! Counts for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What was sent since the start.
#[derive(Debug, Default)]
pub struct Counters {
    taken: AtomicU64,
    failed: AtomicU64,
    events: AtomicU64,
}

impl Counters {
    /// Transactions that were answered with success.
    pub fn transactions_taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Attempts that failed, for whatever reason.
    pub fn transactions_failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Events in the transactions that were taken.
    pub fn events_sent(&self) -> u64 {
        self.events.load(Relaxed)
    }

    pub(super) fn taken(&self, events: usize) {
        self.taken.fetch_add(1, Relaxed);
        self.events.fetch_add(events as u64, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }
}
