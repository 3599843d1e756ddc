//! Telling push gateways of what notifies users ("Push Notifications" in Matrix's specification, and its Push Gateway
//! API).
//!
//! Every pusher has a task, which waits for news of its user as a sync does, and keeps in the store how far it got. Users
//! without pushers cost nothing. What is told is found out when it is told: by the log of the user's rooms, their rules
//! and receipts.

mod badge;
mod due;
mod notification;
mod pusher;

use std::collections::HashMap;
use std::time::Duration;

use axle_store::Pusher;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use crate::state::Api;

pub(crate) use due::only_seen;

/// Requests to gateways at once; more wait.
const MAX_REQUESTS: usize = 64;
/// When the pushers cannot be read at the start, they are tried again after this.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// The way to the tasks of pushers.
pub(crate) struct Pushing {
    changes: mpsc::UnboundedSender<Change>,
    /// For the one who starts the tasks.
    changed: Mutex<mpsc::UnboundedReceiver<Change>>,
    requests: Semaphore,
}

/// What became of a pusher. It is stored already.
enum Change {
    Set(Box<Pusher>),
    Ended(i64),
}

impl Default for Pushing {
    fn default() -> Self {
        // As many wait in it as requests to set pushers, which are limited.
        let (changes, changed) = mpsc::unbounded_channel();
        Self { changes, changed: Mutex::new(changed), requests: Semaphore::new(MAX_REQUESTS) }
    }
}

impl Pushing {
    /// A pusher was set.
    pub(crate) fn set(&self, pusher: Pusher) {
        self.tell(Change::Set(Box::new(pusher)));
    }

    /// A pusher has ended.
    pub(crate) fn ended(&self, id: i64) {
        self.tell(Change::Ended(id));
    }

    fn tell(&self, change: Change) {
        // The other end is kept beside it.
        let _ = self.changes.send(change);
    }
}

/// Runs the tasks of all pushers.
pub(crate) async fn run(api: &Api, tasks: &mut JoinSet<i64>) {
    let mut changed = api.pushing.changed.lock().await;
    let mut running: HashMap<i64, AbortHandle> = HashMap::new();
    for pusher in all(api).await {
        start(api, tasks, &mut running, pusher);
    }
    loop {
        tokio::select! {
            change = changed.recv() => match change {
                Some(Change::Set(pusher)) => start(api, tasks, &mut running, *pusher),
                Some(Change::Ended(id)) => {
                    if let Some(task) = running.remove(&id) {
                        task.abort();
                    }
                }
                None => return,
            },
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => match ended {
                Ok(id) => {
                    running.remove(&id);
                }
                Err(error) if error.is_cancelled() => {}
                Err(error) => tracing::error!(%error, "the task of a pusher broke off"),
            },
        }
    }
}

async fn all(api: &Api) -> Vec<Pusher> {
    loop {
        match api.store.all_pushers().await {
            Ok(pushers) => return pushers,
            Err(error) => tracing::error!(%error, "the pushers cannot be read"),
        }
        tokio::time::sleep(STORE_RETRY).await;
    }
}

fn start(api: &Api, tasks: &mut JoinSet<i64>, running: &mut HashMap<i64, AbortHandle>, pusher: Pusher) {
    let id = pusher.id;
    // One that was set while all were read is told of twice.
    if running.contains_key(&id) {
        return;
    }
    let task = pusher::run(api.clone(), pusher);
    let task = tasks.spawn(async move {
        task.await;
        id
    });
    running.insert(id, task);
}
