//! Who waits for the hub's answer to an LPDU.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axle_protocol::EventId;
use axle_protocol::event::Hash;
use tokio::sync::oneshot;

/// What became of an LPDU: the event it is now, or why the hub refused it.
pub(crate) type Outcome = Result<EventId, String>;

/// Waiting requests by LPDU hash.
#[derive(Debug, Default)]
pub(crate) struct Echoes {
    waiting: Mutex<HashMap<Hash, Vec<oneshot::Sender<Outcome>>>>,
}

/// One waiting request. Dropping it ends the waiting.
#[derive(Debug)]
pub(crate) struct Echo {
    hash: Hash,
    outcome: oneshot::Receiver<Outcome>,
    echoes: Arc<Echoes>,
}

impl Echoes {
    /// Waits for the outcome of an LPDU from now on.
    pub(crate) fn wait(self: &Arc<Self>, hash: Hash) -> Echo {
        let (sender, outcome) = oneshot::channel();
        self.lock().entry(hash).or_default().push(sender);
        Echo { hash, outcome, echoes: self.clone() }
    }

    /// The outcome is known, and durable.
    pub(crate) fn arrived(&self, hash: &Hash, outcome: Outcome) {
        let waiting = self.lock().remove(hash);
        for sender in waiting.into_iter().flatten() {
            // Who gave up waiting finds the outcome in the store.
            let _ = sender.send(outcome.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Vec<oneshot::Sender<Outcome>>>> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Echo {
    /// Waits. `None`: the server is shutting down.
    pub(crate) async fn outcome(&mut self) -> Option<Outcome> {
        (&mut self.outcome).await.ok()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.outcome.close();
        let mut waiting = self.echoes.lock();
        if let Some(senders) = waiting.get_mut(&self.hash) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiting.remove(&self.hash);
            }
        }
    }
}
