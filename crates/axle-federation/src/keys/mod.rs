//! Keys: ours, as others get them, and those of others, fetched when needed and kept for ever.
//!
//! A signature names its key; who has not that key asks the server for it. So anybody can make us ask: requests and
//! events name servers and keys as they like. Hence one question at a time to a server, pauses after answers and
//! failures, a bound on questions at once (a smaller one for servers never heard of), and a bound on servers a batch.

mod fetch;
mod known;
mod notary;
mod own;
mod set;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axle_protocol::signing::server_keys::ServerKeys;
use axle_protocol::{Event, KeyId, ServerName, UserId};
use axle_store::ServerKeys as KeyStore;
use lru::LruCache;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

pub use known::{FIRST_RETRY_MS, MAX_RETRY_MS};
pub use notary::MAX_RESPONSES_PER_SERVER;
pub use own::{OWN_VALIDITY_MS, OwnKeys, RESIGN_EVERY_MS};
pub(crate) use set::CurrentKeys;
pub use set::KeySet;

use crate::client::Client;
use crate::clock::Clock;
use fetch::Fetched;
use known::Known;
use own::Published;

/// Servers whose keys are held in memory.
const MAX_SERVERS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// Servers that one batch of events may make us ask; the keys of others must be known already.
pub const MAX_SERVERS_PER_BATCH: usize = 100;
/// Questions at once to servers whose keys we have had before.
const MAX_FETCHES: usize = 64;
/// Questions at once to servers never heard of. Small, since their names cost nothing to invent.
const MAX_FETCHES_OF_STRANGERS: usize = 16;

/// Settings of the key ring.
#[derive(Debug, Clone)]
pub struct KeyRingConfig {
    /// Servers to ask about the keys of a server that does not answer, in this order.
    pub notaries: Vec<ServerName>,
    /// A server that has answered is not asked again before this.
    pub min_refresh: Duration,
    /// How long a batch of events waits for keys.
    pub batch_timeout: Duration,
}

impl Default for KeyRingConfig {
    fn default() -> Self {
        Self { notaries: Vec::new(), min_refresh: Duration::from_secs(30), batch_timeout: Duration::from_secs(20) }
    }
}

/// All keys. Cheap to clone.
#[derive(Clone)]
pub struct KeyRing(Arc<Inner>);

struct Inner {
    config: KeyRingConfig,
    own: Arc<Published>,
    store: Arc<dyn KeyStore + Send + Sync>,
    client: Client,
    clock: Clock,
    servers: Mutex<LruCache<ServerName, Arc<Slot>>>,
    fetches: Semaphore,
    fetches_of_strangers: Semaphore,
}

/// One server.
#[derive(Default)]
struct Slot {
    loaded: OnceCell<()>,
    known: Mutex<Arc<Known>>,
    asking: tokio::sync::Mutex<()>,
}

impl KeyRing {
    /// A ring with our own keys; those of others come from the store and the network.
    pub fn new(
        config: KeyRingConfig,
        own: OwnKeys,
        store: Arc<dyn KeyStore + Send + Sync>,
        client: Client,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inner {
            config,
            own: Arc::new(Published::new(own)),
            store,
            client,
            clock,
            servers: Mutex::new(LruCache::new(MAX_SERVERS)),
            fetches: Semaphore::new(MAX_FETCHES),
            fetches_of_strangers: Semaphore::new(MAX_FETCHES_OF_STRANGERS),
        }))
    }

    /// The response to `GET /_matrix/key/v2/server`.
    pub fn own_response(&self) -> Arc<str> {
        self.0.own.response(self.0.now())
    }

    /// Our own keys.
    pub fn own_keys(&self) -> &OwnKeys {
        &self.0.own.keys
    }

    /// The keys that checking these events needs, fetched where they are not known. At most
    /// [`MAX_SERVERS_PER_BATCH`] servers are asked; what cannot be had in time is missing from the set.
    pub async fn keys_for(&self, events: &[Event]) -> KeySet {
        let mut needs: HashMap<ServerName, Vec<(KeyId, i64)>> = HashMap::new();
        for event in events {
            let required = event.required_signatures().into_iter().map(|needed| needed.server);
            for server in required.chain(invited_server(event)) {
                if server == self.0.own.keys.server_name {
                    continue;
                }
                let ids = event.signing_keys(server.as_str()).filter_map(|id| KeyId::parse(id).ok());
                let ids: Vec<_> = ids.map(|id| (id, event.origin_server_ts())).collect();
                // A signature that is not there needs no key.
                if !ids.is_empty() {
                    needs.entry(server).or_default().extend(ids);
                }
            }
        }
        let mut asked = 0;
        let mut fetches = Vec::new();
        for (server, ids) in &needs {
            let slot = self.0.loaded(server).await;
            if !slot.has_all(ids) && asked < MAX_SERVERS_PER_BATCH {
                asked += 1;
                fetches.push(self.spawn_refresh(server.clone(), slot, ids.clone()));
            }
        }
        if !fetches.is_empty() {
            let _ = timeout(self.0.config.batch_timeout, futures_util::future::join_all(fetches)).await;
        }
        let mut servers = HashMap::with_capacity(needs.len());
        for (server, _) in needs {
            let known = self.0.loaded(&server).await.known();
            servers.insert(server, known);
        }
        KeySet::new(self.0.own.clone(), servers)
    }

    /// What a server publishes now, such that these keys authenticate a request if they are its. Asks the server if one
    /// of them is not known.
    pub(crate) async fn for_request(&self, server: &ServerName, ids: &HashSet<&KeyId>) -> Option<Arc<ServerKeys>> {
        let slot = self.0.loaded(server).await;
        let now = self.0.now();
        let complete = |known: &Known| {
            known.current().is_some_and(|current| ids.iter().all(|id| current.request_key(id, now).is_some()))
        };
        if !complete(&slot.known()) {
            self.refresh(server, &slot, complete).await;
        }
        slot.known().current().cloned()
    }

    /// In a task of its own: an answer that comes too late for whoever asked is of use to the next.
    fn spawn_refresh(
        &self,
        server: ServerName,
        slot: Arc<Slot>,
        ids: Vec<(KeyId, i64)>,
    ) -> tokio::task::JoinHandle<()> {
        let ring = self.clone();
        tokio::spawn(async move {
            ring.refresh(&server, &slot, |known| has_all(known, &ids)).await;
        })
    }

    /// Asks for a server's keys, unless somebody else's question has just brought what is wanted, or it is too early to
    /// ask again.
    async fn refresh(&self, server: &ServerName, slot: &Slot, satisfied: impl Fn(&Known) -> bool) {
        let _asking = slot.asking.lock().await;
        let known = slot.known();
        if satisfied(&known) || !known.may_ask(self.0.now(), self.0.min_refresh_ms()) {
            return;
        }
        let lane = if known.is_stranger() { &self.0.fetches_of_strangers } else { &self.0.fetches };
        // The semaphores are never closed.
        let _permit = lane.acquire().await;
        let fetched = self.fetch(server).await;
        if fetched.is_empty() {
            slot.change(|known| known.failed(self.0.now()));
        } else {
            self.0.learn(server, fetched).await;
        }
    }
}

impl Inner {
    fn now(&self) -> i64 {
        (self.clock)()
    }

    fn min_refresh_ms(&self) -> i64 {
        i64::try_from(self.config.min_refresh.as_millis()).unwrap_or(i64::MAX)
    }

    /// The slot of a server, with what the store has.
    async fn loaded(&self, server: &ServerName) -> Arc<Slot> {
        let slot = {
            let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            servers.get_or_insert(server.clone(), Arc::default).clone()
        };
        let load = async {
            let stored = self.store.server_keys(server).await?;
            let newest = self.store.key_responses(server).await?.into_iter().next();
            let current = newest.and_then(|(valid_until_ts, response)| {
                let keys = ServerKeys::parse(response.as_bytes(), server, self.now()).ok()?;
                Some(ServerKeys { valid_until_ts: keys.valid_until_ts.min(valid_until_ts), ..keys })
            });
            slot.change(|known| *known = Known::restore(&stored, current));
            Ok::<_, axle_store::StoreError>(())
        };
        if let Err(error) = slot.loaded.get_or_try_init(|| load).await {
            // The next one tries again; without stored keys the server is asked.
            tracing::warn!(%server, %error, "cannot read a server's keys");
        }
        slot
    }

    async fn current(&self, server: &ServerName) -> Option<Arc<ServerKeys>> {
        self.loaded(server).await.known().current().cloned()
    }

    /// Stores first, then uses.
    async fn learn(&self, server: &ServerName, fetched: Vec<Fetched>) {
        let slot = self.loaded(server).await;
        let now = self.now();
        let mut known = (*slot.known()).clone();
        for Fetched { keys, response } in fetched {
            let valid_until_ts = keys.valid_until_ts;
            let stored = known.learn(keys, now);
            if let Err(error) = self.store.put_server_keys(server, &response, valid_until_ts, &stored).await {
                tracing::warn!(%server, %error, "cannot store a server's keys");
            }
        }
        slot.change(|slot| *slot = known);
    }
}

impl Slot {
    fn known(&self) -> Arc<Known> {
        self.lock().clone()
    }

    fn has_all(&self, ids: &[(KeyId, i64)]) -> bool {
        has_all(&self.known(), ids)
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(Arc::make_mut(&mut *self.lock()));
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Known>> {
        // Nothing panics while it is held; were it to, the keys are still whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_all(known: &Known, ids: &[(KeyId, i64)]) -> bool {
    ids.iter().all(|(id, at_ts)| known.event_key(id, *at_ts).is_some())
}

/// The server of an invited user: it signs the invite that it takes, and its hub checks that.
fn invited_server(event: &Event) -> Option<ServerName> {
    if event.membership() != Some("invite") {
        return None;
    }
    Some(UserId::parse(event.state_key()?).ok()?.server_name())
}
