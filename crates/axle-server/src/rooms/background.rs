//! Work in the background, one task for each of what it is about.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
