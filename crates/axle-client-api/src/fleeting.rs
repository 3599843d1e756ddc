//! The order of what happens in memory only.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::state::now_ms;

/// Counts changes of what is not stored. It begins at the time of day, so that a moment of an earlier run of the server
/// is before all of this one.
#[derive(Debug)]
pub(crate) struct Clock(AtomicI64);

impl Default for Clock {
    fn default() -> Self {
        Self(AtomicI64::new(now_ms()))
    }
}

impl Clock {
    /// The last change. Read it before what changed: then nothing falls between.
    pub(crate) fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Another change. Call it while readers are locked out of what changes.
    pub(crate) fn tick(&self) -> i64 {
        self.0.fetch_add(1, Ordering::SeqCst).saturating_add(1)
    }
}
