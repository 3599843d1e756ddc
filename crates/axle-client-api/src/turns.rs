//! So much at once, and so much of it for one server, or one user.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use axle_protocol::MatrixError;
use lru::LruCache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::cache::bounded;

/// Servers, or users, that are counted; what was not used for the longest is forgotten first.
const MAX_COUNTED: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// Whose turn it is.
pub(crate) struct Turns<K: Hash + Eq> {
    all: Arc<Semaphore>,
    of_one: usize,
    by_key: Mutex<LruCache<K, Arc<Semaphore>>>,
}

/// Held as long as it lasts.
pub(crate) struct Turn {
    _of_one: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl<K: Hash + Eq + Clone> Turns<K> {
    pub(crate) fn new(at_once: usize, of_one: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_once)), of_one, by_key: Mutex::new(bounded(MAX_COUNTED)) }
    }

    /// Waits for a turn with this one.
    pub(crate) async fn take(&self, key: &K) -> Result<Turn, MatrixError> {
        let stopping = |_| MatrixError::unknown("The server is stopping.");
        let of_one = {
            let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
            by_key.get_or_insert(key.clone(), || Arc::new(Semaphore::new(self.of_one))).clone()
        };
        // In this order: who waits for a slow one keeps nobody from the others.
        let of_one = of_one.acquire_owned().await.map_err(stopping)?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(stopping)?;
        Ok(Turn { _of_one: of_one, _of_all: of_all })
    }
}
