//! Servers that the operator has blocked.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axle_protocol::ServerName;
use axle_store::Operator;

/// How soon a block takes effect at the latest. The administration writes to the store, from another process even.
const REFRESH: Duration = Duration::from_secs(5);

/// The list, read again from the store every few seconds.
pub(crate) struct BlockList {
    store: Arc<dyn Operator + Send + Sync>,
    last: Mutex<Option<(Instant, Arc<HashSet<ServerName>>)>>,
}

impl BlockList {
    pub(crate) fn new(store: Arc<dyn Operator + Send + Sync>) -> Self {
        Self { store, last: Mutex::new(None) }
    }

    /// Whether nothing is to be taken from this server, nor sent to it.
    pub(crate) async fn contains(&self, server: &ServerName) -> bool {
        self.now().await.contains(server)
    }

    async fn now(&self) -> Arc<HashSet<ServerName>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((read_at, list)) = &last
            && read_at.elapsed() < REFRESH
        {
            return list.clone();
        }
        let list = match self.store.blocked_servers().await {
            Ok(servers) => Arc::new(servers.into_iter().collect()),
            Err(error) => {
                tracing::warn!(%error, "cannot read the blocked servers");
                // What was blocked stays so. A store that cannot read can do nothing else for the server either.
                last.map(|(_, list)| list).unwrap_or_default()
            }
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), list.clone()));
        list
    }
}
