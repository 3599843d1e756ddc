//! Outbound queues: one task a destination, driving [`axle_room::outbound::Destination`].
//!
//! What is to be delivered is in the store, in order; the tasks only read it. A wake is therefore cheap, and one that
//! is lost costs nothing but time.

mod counters;
mod queue;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axle_protocol::event::Hash;
use axle_protocol::{RoomId, ServerName};
use axle_store::{Store, StoreError};
use tokio::sync::{Notify, watch};

pub use counters::Counters;

use crate::client::Client;
use crate::clock::{Clock, system_clock};

/// What the queues ask of the server's rooms.
#[async_trait]
pub trait QueuedRooms: Send + Sync + 'static {
    /// The hub of a room, if it is known here.
    async fn hub(&self, room_id: &RoomId) -> Option<ServerName>;

    /// The hub refused one of our LPDUs for good. Returns when that is durable.
    async fn lpdu_refused(&self, lpdu_hash: &Hash, reason: &str);
}

/// The queues towards all other servers. Cheap to clone.
#[derive(Clone)]
pub struct Sender(Arc<Inner>);

struct Inner {
    client: Client,
    store: Arc<dyn Store>,
    rooms: Arc<dyn QueuedRooms>,
    /// Differs from one start of this server to the next.
    boot: String,
    clock: Clock,
    counters: Arc<Counters>,
    queues: Mutex<HashMap<ServerName, Arc<Signal>>>,
    stop: watch::Sender<bool>,
    /// Every task holds a receiver: when there is none, all have ended.
    alive: watch::Sender<()>,
}

/// How a task is told that there is something to do.
#[derive(Default)]
struct Signal {
    state: Mutex<Woken>,
    notify: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct Woken {
    /// Something was queued.
    queued: bool,
    /// The destination was heard of.
    heard: bool,
}

impl Signal {
    fn raise(&self, with: impl FnOnce(&mut Woken)) {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.notify.notify_one();
    }

    fn take(&self) -> Woken {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sender {
    /// The queues, none of which moves until it is woken. `boot` must differ from every other start of this server:
    /// transaction ids are made from it.
    pub fn new(client: Client, store: Arc<dyn Store>, rooms: Arc<dyn QueuedRooms>, boot: String) -> Self {
        let (stop, _) = watch::channel(false);
        let (alive, _) = watch::channel(());
        let (queues, counters) = (Mutex::default(), Arc::default());
        Self(Arc::new(Inner { client, store, rooms, boot, clock: system_clock(), counters, queues, stop, alive }))
    }

    /// Goes on with everything that a restart interrupted.
    pub async fn resume(&self) -> Result<(), StoreError> {
        for destination in self.0.store.pending_destinations().await? {
            self.wake(&destination);
        }
        let mut rooms: Vec<RoomId> = Vec::new();
        for lpdu in self.0.store.pending_lpdus(None).await? {
            if !rooms.contains(&lpdu.room_id) {
                rooms.push(lpdu.room_id);
            }
        }
        for room_id in rooms {
            if let Some(hub) = self.0.rooms.hub(&room_id).await {
                self.wake(&hub);
            }
        }
        Ok(())
    }

    /// What was sent since the start.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Something is queued for this destination, durable since now.
    pub fn wake(&self, destination: &ServerName) {
        self.signal(destination).raise(|woken| woken.queued = true);
    }

    /// This server was heard of: if it could not be reached, it is tried again now.
    pub fn heard_of(&self, destination: &ServerName) {
        let signal = self.queues().get(destination).cloned();
        if let Some(signal) = signal {
            signal.raise(|woken| woken.heard = true);
        }
    }

    /// Ends all tasks. Requests in flight may finish within `limit`; what they do not deliver is delivered after the
    /// next start.
    pub async fn stop(&self, limit: Duration) {
        self.0.stop.send_replace(true);
        if tokio::time::timeout(limit, self.0.alive.closed()).await.is_err() {
            tracing::info!("not every server had answered when the queues were stopped");
        }
    }

    fn signal(&self, destination: &ServerName) -> Arc<Signal> {
        let mut queues = self.queues();
        if let Some(signal) = queues.get(destination) {
            return signal.clone();
        }
        let signal = Arc::new(Signal::default());
        queues.insert(destination.clone(), signal.clone());
        drop(queues);
        let task: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(queue::run(self.clone(), destination.clone(), signal.clone()));
        tokio::spawn(task);
        signal
    }

    /// Ends a queue that has nothing to do, unless it was woken meanwhile.
    fn retire(&self, destination: &ServerName, signal: &Signal) -> bool {
        let mut queues = self.queues();
        let woken = signal.state.lock().unwrap_or_else(PoisonError::into_inner).queued;
        if !woken {
            queues.remove(destination);
        }
        !woken
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<ServerName, Arc<Signal>>> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
