//! Outbound queues: one task a destination, driving [`axle_room::outbound::Destination`].
//!
//! What is to be delivered is in the store, in order; the tasks only read it. A wake is therefore cheap, and one that
//! is lost costs nothing but time.

mod counters;
mod fleeting;
mod pace;
mod queue;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axle_protocol::event::Hash;
use axle_protocol::{RoomId, ServerName};
use axle_store::{Store, StoreError};
use tokio::sync::{Notify, watch};

pub use counters::Counters;
pub use fleeting::FleetingEdu;

use crate::blocked::BlockList;
use crate::client::Client;
use crate::clock::{Clock, system_clock};
use fleeting::Fleeting;

/// A queue with nothing to do ends after this.
const IDLE: Duration = Duration::from_secs(60);

/// What the queues ask of the server's rooms.
#[async_trait]
pub trait QueuedRooms: Send + Sync + 'static {
    /// The hub of a room, if it is known here.
    async fn hub(&self, room_id: &RoomId) -> Option<ServerName>;

    /// The hub of this room refused one of our LPDUs for good. Returns when that is durable.
    async fn lpdu_refused(&self, room_id: &RoomId, lpdu_hash: &Hash, reason: &str);

    /// The hub took LPDUs: it answered the transaction, and did not refuse them.
    async fn lpdus_taken(&self, lpdus: &[(RoomId, Hash)]);
}

/// The queues towards all other servers. Cheap to clone.
#[derive(Clone)]
pub struct Sender(Arc<Inner>);

type Queues = HashMap<ServerName, Arc<Signal>>;

struct Inner {
    client: Client,
    store: Arc<dyn Store>,
    rooms: Arc<dyn QueuedRooms>,
    /// Differs from one start of this server to the next.
    boot: String,
    /// Queues that began since then: a destination's ends when it is idle, and may begin again.
    begun: AtomicU64,
    /// A queue with nothing to do ends after this.
    idle: Duration,
    clock: Clock,
    counters: Arc<Counters>,
    queues: Mutex<Queues>,
    blocked: BlockList,
    stop: watch::Sender<Stop>,
    /// Every task holds a receiver: when there is none, all have ended.
    alive: watch::Sender<()>,
}

/// When tasks are to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// When there is nothing to do.
    No,
    /// When no request is under way.
    WhenAnswered,
    /// At once.
    Now,
}

/// How a task is told that there is something to do. Raised under the lock of the queues only: so a task that ends
/// under that lock has missed nothing.
#[derive(Default)]
struct Signal {
    state: Mutex<Woken>,
    notify: Notify,
    fleeting: Fleeting,
    /// The destination could not be reached: being heard of matters.
    unreachable: AtomicBool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Woken {
    /// A finished event was queued.
    events: bool,
    /// An LPDU was queued.
    lpdus: bool,
    /// An EDU was queued that is kept.
    edus: bool,
    /// One was handed over that is not.
    fleeting: bool,
    /// The destination was heard of.
    heard: bool,
}

impl Woken {
    fn is_queued(self) -> bool {
        self.events || self.lpdus || self.edus || self.fleeting
    }
}

impl Signal {
    fn raise(&self, with: impl FnOnce(&mut Woken)) {
        with(&mut self.state());
        self.notify.notify_one();
    }

    fn take(&self) -> Woken {
        std::mem::take(&mut *self.state())
    }

    /// Whether somebody waits for what comes of it.
    fn is_urgent(&self) -> bool {
        let state = self.state();
        state.lpdus || state.heard
    }

    fn state(&self) -> MutexGuard<'_, Woken> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// The queues, none of which moves until it is woken. `boot` must differ from every other start of this server:
    /// transaction ids are made from it.
    pub fn new(client: Client, store: Arc<dyn Store>, rooms: Arc<dyn QueuedRooms>, boot: String) -> Self {
        Self::ending_after(IDLE, client, store, rooms, boot)
    }

    /// The same with queues that end after another time with nothing to do.
    pub fn ending_after(
        idle: Duration,
        client: Client,
        store: Arc<dyn Store>,
        rooms: Arc<dyn QueuedRooms>,
        boot: String,
    ) -> Self {
        let (stop, _) = watch::channel(Stop::No);
        let (alive, _) = watch::channel(());
        let (queues, counters, blocked) = (Mutex::default(), Arc::default(), BlockList::new(store.clone()));
        let clock = system_clock();
        let begun = AtomicU64::new(0);
        Self(Arc::new(Inner { client, store, rooms, boot, begun, idle, clock, counters, queues, blocked, stop, alive }))
    }

    /// Goes on with everything that a restart interrupted.
    pub async fn resume(&self) -> Result<(), StoreError> {
        self.wake(&self.0.store.pending_destinations().await?);
        self.wake_edus(&self.0.store.edu_destinations().await?);
        let lpdus = self.0.store.pending_lpdus(None).await?;
        let rooms: HashSet<RoomId> = lpdus.into_iter().map(|lpdu| lpdu.room_id).collect();
        for room_id in rooms {
            if let Some(hub) = self.0.rooms.hub(&room_id).await {
                self.wake_lpdus(&hub);
            }
        }
        Ok(())
    }

    /// What was sent since the start.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// How many queues have something to do, or had a moment ago.
    pub fn running(&self) -> usize {
        self.queues().len()
    }

    /// An event is queued for these destinations, durable since now.
    pub fn wake<'a>(&self, destinations: impl IntoIterator<Item = &'a ServerName>) {
        let mut queues = self.queues();
        for destination in destinations {
            self.signal(&mut queues, destination).raise(|woken| woken.events = true);
        }
    }

    /// An LPDU is queued for a room with this hub, durable since now.
    pub fn wake_lpdus(&self, hub: &ServerName) {
        let mut queues = self.queues();
        self.signal(&mut queues, hub).raise(|woken| woken.lpdus = true);
    }

    /// EDUs are queued for these destinations, durable since now.
    pub fn wake_edus<'a>(&self, destinations: impl IntoIterator<Item = &'a ServerName>) {
        let mut queues = self.queues();
        for destination in destinations {
            self.signal(&mut queues, destination).raise(|woken| woken.edus = true);
        }
    }

    /// Tells these destinations of something that is of use now or never. Those that cannot be reached never learn of it.
    pub fn send_fleeting<'a>(&self, destinations: impl IntoIterator<Item = &'a ServerName>, edu: &FleetingEdu) {
        let mut queues = self.queues();
        for destination in destinations {
            let signal = self.signal(&mut queues, destination);
            if !signal.unreachable.load(Ordering::Relaxed) {
                signal.fleeting.put(edu.clone());
                signal.raise(|woken| woken.fleeting = true);
            }
        }
    }

    /// This server was heard of: if it could not be reached, it is tried again now.
    pub fn heard_of(&self, destination: &ServerName) {
        if let Some(signal) = self.queues().get(destination)
            && signal.unreachable.load(Ordering::Relaxed)
        {
            signal.raise(|woken| woken.heard = true);
        }
    }

    /// Ends all tasks. Requests in flight may finish within `limit`; what they do not deliver is delivered after the
    /// next start. When this returns, nothing of the queues is left.
    pub async fn stop(&self, limit: Duration) {
        self.0.stop.send_replace(Stop::WhenAnswered);
        if tokio::time::timeout(limit, self.0.alive.closed()).await.is_err() {
            tracing::info!("not every server had answered when the queues were stopped");
            self.0.stop.send_replace(Stop::Now);
            self.0.alive.closed().await;
        }
    }

    /// The signal of a destination's task, which is started if there is none.
    fn signal<'a>(&self, queues: &'a mut Queues, destination: &ServerName) -> &'a Arc<Signal> {
        match queues.entry(destination.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let signal = Arc::new(Signal::default());
                // Boxed: the task can start others, so its type would contain itself.
                let task: Pin<Box<dyn Future<Output = ()> + Send>> =
                    Box::pin(queue::run(self.clone(), destination.clone(), signal.clone()));
                tokio::spawn(task);
                entry.insert(signal)
            }
        }
    }

    /// What the transaction ids of a queue begin with that begins now. No other queue has it: a transaction with the id of
    /// an earlier one would be answered as that was, and what is in it lost.
    fn transaction_prefix(&self) -> String {
        format!("{}-{}", self.0.boot, self.0.begun.fetch_add(1, Ordering::Relaxed))
    }

    /// Ends a queue that has nothing to do, unless it was woken meanwhile.
    fn retire(&self, destination: &ServerName, signal: &Signal) -> bool {
        let mut queues = self.queues();
        let woken = signal.state().is_queued();
        if !woken {
            queues.remove(destination);
        }
        !woken
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
