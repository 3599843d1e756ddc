//! Counts for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds, in microseconds: from a commit shared with others to a disk in trouble. One more holds the rest.
const APPEND_BOUNDS: [u64; 10] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

/// What happened in all rooms since the start.
#[derive(Debug, Default)]
pub struct Counters {
    accepted: AtomicU64,
    faults: AtomicU64,
    appends: [AtomicU64; APPEND_BOUNDS.len() + 1],
    append_micros: AtomicU64,
}

/// How long appends took until they were durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendTimes {
    /// Upper bound, and how many took no longer.
    pub buckets: Vec<(Duration, u64)>,
    /// How many there were.
    pub count: u64,
    /// All together.
    pub sum: Duration,
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

    /// How long appends took.
    pub fn append_times(&self) -> AppendTimes {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(APPEND_BOUNDS.len());
        for (bound, appends) in APPEND_BOUNDS.into_iter().zip(&self.appends) {
            count += appends.load(Relaxed);
            buckets.push((Duration::from_micros(bound), count));
        }
        count += self.appends.last().map_or(0, |rest| rest.load(Relaxed));
        AppendTimes { buckets, count, sum: Duration::from_micros(self.append_micros.load(Relaxed)) }
    }

    pub(super) fn accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    pub(super) fn fault(&self) {
        self.faults.fetch_add(1, Relaxed);
    }

    pub(super) fn appended(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = APPEND_BOUNDS.iter().take_while(|bound| **bound < micros).count();
        if let Some(appends) = self.appends.get(bucket) {
            appends.fetch_add(1, Relaxed);
        }
        self.append_micros.fetch_add(micros, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn append_times_add_up() {
        let counters = Counters::default();
        for micros in [100, 500, 501, 9_000_000] {
            counters.appended(Duration::from_micros(micros));
        }
        let times = counters.append_times();
        assert_eq!((times.count, times.sum), (4, Duration::from_micros(9_001_101)));
        assert_eq!(times.buckets[0], (Duration::from_micros(500), 2));
        assert_eq!(times.buckets[1].1, 3);
        assert_eq!(times.buckets.last().unwrap().1, 3);
    }
}
