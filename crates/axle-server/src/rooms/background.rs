//! Work in the background, one task for each of what it is about.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Rooms;

/// The longest pause between two attempts.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The pauses between attempts: each is twice as long as the one before.
#[derive(Debug)]
pub(super) struct Pauses {
    first: Duration,
    next: Duration,
}

impl Pauses {
    pub(super) fn new(first: Duration) -> Self {
        Self { first, next: first }
    }

    /// An attempt has brought something.
    pub(super) fn begin_anew(&mut self) {
        self.next = self.first;
    }

    /// Waits before the next attempt, so long as whoever was asked says, if they do. `false`: the server is shutting down.
    pub(super) async fn wait(&mut self, rooms: &Rooms, asked_for: Option<Duration>) -> bool {
        let pause = asked_for.unwrap_or(self.next).min(LONGEST_PAUSE);
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        rooms.0.registry.pause(pause).await
    }
}

/// What is being worked on. `true`: more came up meanwhile, look again.
#[derive(Debug)]
pub(super) struct Background<K>(Mutex<HashMap<K, bool>>);

impl<K> Default for Background<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone> Background<K> {
    /// Something came up. `true`: nobody works on it, so the caller must start to; otherwise whoever does looks again.
    pub(super) fn begin(&self, key: &K) -> bool {
        let mut running = self.lock();
        if let Some(again) = running.get_mut(key) {
            *again = true;
            return false;
        }
        running.insert(key.clone(), false);
        true
    }

    /// Whether nothing came up since the last look; then nobody works on it any more.
    pub(super) fn finished(&self, key: &K) -> bool {
        let mut running = self.lock();
        match running.get_mut(key) {
            Some(again) if *again => {
                *again = false;
                false
            }
            _ => {
                running.remove(key);
                true
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, bool>> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
