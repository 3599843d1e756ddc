//! So much at once, and so much of it for one server.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use axle_protocol::MatrixError;
use lru::LruCache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Servers that are counted; what was not used for the longest is forgotten first.
const MAX_SERVERS: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// Whose turn it is.
pub(crate) struct Turns<K: Hash + Eq> {
    all: Arc<Semaphore>,
    of_one: usize,
    by_server: Mutex<LruCache<K, Arc<Semaphore>>>,
}

/// Held as long as it lasts.
pub(crate) struct Turn {
    _of_server: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl<K: Hash + Eq + Clone> Turns<K> {
    pub(crate) fn new(at_once: usize, of_one: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_once)), of_one, by_server: Mutex::new(LruCache::new(MAX_SERVERS)) }
    }

    /// Waits for a turn with this server.
    pub(crate) async fn take(&self, server: &K) -> Result<Turn, MatrixError> {
        let stopping = |_| MatrixError::unknown("The server is stopping.");
        let of_server = {
            let mut by_server = self.by_server.lock().unwrap_or_else(PoisonError::into_inner);
            by_server.get_or_insert(server.clone(), || Arc::new(Semaphore::new(self.of_one))).clone()
        };
        // In this order: who waits for a slow server keeps nobody from the others.
        let of_server = of_server.acquire_owned().await.map_err(stopping)?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(stopping)?;
        Ok(Turn { _of_server: of_server, _of_all: of_all })
    }
}
