//! The runtime of rooms: drives the state machines of `axle-room` against the store and other servers.
//!
//! [`Rooms`] is the way in. Each room in use has a worker, the only one that changes it; see [`worker`]. What other
//! servers ask for comes in by `federation_service`, what local users want by `client_service`.

mod announce;
mod background;
mod behind;
mod blocks;
mod chain;
mod commit;
mod counters;
pub(crate) mod create;
mod echoes;
pub(crate) mod enter;
mod errors;
mod faults;
mod gaps;
pub(crate) mod group_forward;
pub(crate) mod groups;
mod guests;
pub(crate) mod handshake;
pub(crate) mod history;
pub(crate) mod invite;
mod joining;
mod leaving;
mod load;
pub mod network;
mod notifier;
pub(crate) mod outside;
mod people;
pub(crate) mod reads;
mod received;
mod registry;
mod restored;
pub(crate) mod send;
mod stripped;
pub(crate) mod transaction;
mod verify;
mod versions;
mod visibility;
mod worker;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use axle_protocol::event::Hash;
use axle_protocol::{MatrixError, RoomId, RoomVersion, ServerName};
use axle_room::{Identity, Room, Verified};
use axle_store::Store;

pub use counters::{AppendTimes, Counters};
pub use network::{Keys, Outbound, PeerError, Peers, SentJoin};
pub use notifier::Wakes;

use background::Background;
use echoes::Echo;
use errors::refused;
use worker::{Batch, Needs, Turn, unknown_room};

/// What the rooms of a server need.
pub struct RoomsConfig {
    /// Who this server is, and what it signs with.
    pub me: Identity,
    /// The version of new rooms.
    pub default_version: RoomVersion,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Other servers' keys.
    pub keys: Arc<dyn Keys>,
    /// Requests to other servers.
    pub peers: Arc<dyn Peers>,
    /// The queues towards other servers.
    pub outbound: Arc<dyn Outbound>,
}

/// All rooms of this server. Cheap to clone.
#[derive(Clone)]
pub struct Rooms(Arc<Shared>);

struct Shared {
    me: Identity,
    default_version: RoomVersion,
    store: Arc<dyn Store>,
    keys: Arc<dyn Keys>,
    peers: Arc<dyn Peers>,
    outbound: Arc<dyn Outbound>,
    wakes: Arc<Wakes>,
    echoes: Arc<echoes::Echoes>,
    blocks: blocks::Blocks,
    joining: joining::Joining,
    versions: versions::Versions,
    leaving: leaving::Leaving,
    restored: restored::Restored,
    /// Rooms whose gaps are being filled.
    gaps: Background<RoomId>,
    /// Rooms in which it is looked for what is behind the join of this server.
    behind: Background<RoomId>,
    /// Servers that are being told of invites.
    announcing: Background<ServerName>,
    /// Set once the network is up, if there is one.
    device_source: OnceLock<Weak<dyn groups::DeviceSource>>,
    /// Likewise.
    accounts: OnceLock<Weak<dyn invite::Accounts>>,
    counters: Counters,
    registry: registry::Registry,
}

impl Rooms {
    /// Rooms of this server. Nothing is loaded until it is asked for; see [`Rooms::resume`].
    pub fn new(config: RoomsConfig) -> Self {
        let RoomsConfig { me, default_version, store, keys, peers, outbound } = config;
        Self(Arc::new(Shared {
            me,
            default_version,
            store,
            keys,
            peers,
            outbound,
            wakes: Arc::default(),
            echoes: Arc::default(),
            blocks: blocks::Blocks::default(),
            joining: joining::Joining::default(),
            versions: versions::Versions::default(),
            leaving: leaving::Leaving::default(),
            restored: restored::Restored::default(),
            gaps: Background::default(),
            behind: Background::default(),
            announcing: Background::default(),
            device_source: OnceLock::new(),
            accounts: OnceLock::new(),
            counters: Counters::default(),
            registry: registry::Registry::new(),
        }))
    }

    /// Holds the rooms of a store that was put back from an older copy. To be called before anybody can reach this server.
    pub async fn hold_restored(&self) -> Result<(), axle_store::StoreError> {
        restored::hold(self).await
    }

    /// Goes on with what a restart interrupted: leaves on their way, gaps that were being filled, what was looked for
    /// behind joins, invites that are to be told, guests who are to leave; and completes rooms that are held. To be called
    /// once the network is up, and before the queues go on.
    pub async fn resume(&self) -> Result<(), axle_store::StoreError> {
        let queued = self.0.store.pending_lpdus(None).await?;
        self.0.leaving.resume(&queued);
        queued
            .iter()
            .map(|lpdu| &lpdu.room_id)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .for_each(|id| behind::look(self, id));
        for room_id in self.0.store.rooms_with_waiting().await? {
            gaps::fill(self, &room_id);
        }
        for destination in self.0.store.announcement_destinations().await? {
            announce::tell(self, &destination);
        }
        restored::complete(self);
        guests::resume(self).await
    }

    /// Wakes syncs; hand it to the client-server API.
    pub fn wakes(&self) -> Arc<Wakes> {
        self.0.wakes.clone()
    }

    /// Counts of what happened since the start.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// How many rooms are in memory.
    pub fn loaded(&self) -> usize {
        self.0.registry.len()
    }

    /// How many rooms are held, because the store was put back from an older copy.
    pub fn held(&self) -> usize {
        self.0.restored.len()
    }

    /// The hub of a room; `None` if the room is not known here. What queued LPDUs are sent to.
    pub async fn hub(&self, room_id: &RoomId) -> Result<Option<ServerName>, MatrixError> {
        self.with(room_id, |turn| turn.slot.as_ref().and_then(Room::hub)).await
    }

    /// Wakes the syncs of this server's users in a room.
    pub(crate) async fn wake_members(&self, room_id: &RoomId) -> Result<(), MatrixError> {
        let shared = self.0.clone();
        self.with(room_id, move |turn| {
            if let Some(room) = turn.slot.as_ref() {
                commit::wake_members(&shared, room);
            }
        })
        .await
    }

    /// The hub refused one of our LPDUs for good: takes it out of the queue and tells its sender.
    pub async fn refuse_lpdu(
        &self,
        room_id: &RoomId,
        lpdu_hash: &Hash,
        reason: &str,
    ) -> Result<(), axle_store::StoreError> {
        if leaving::refused(self, lpdu_hash).await {
            return Ok(());
        }
        self.0.store.refuse_lpdu(lpdu_hash, reason).await?;
        let hash = *lpdu_hash;
        let forgotten = self.with(room_id, move |turn| turn.slot.iter_mut().for_each(|room| room.lpdu_refused(&hash)));
        // While the server shuts down nobody waits for it.
        forgotten.await.unwrap_or_default();
        self.0.echoes.arrived(lpdu_hash, Err(reason.to_owned()));
        Ok(())
    }

    /// The hub took these of our LPDUs: their rooms watch that it does not leave them out. Of a leave, nothing may come.
    pub async fn lpdus_taken(&self, lpdus: &[(RoomId, Hash)]) {
        lpdus.iter().for_each(|(_, hash)| leaving::taken(self, hash));
        let rooms: BTreeSet<&RoomId> = lpdus.iter().map(|(room_id, _)| room_id).collect();
        for room_id in rooms {
            let taken = lpdus.iter().filter(|(of, _)| of == room_id).map(|(_, hash)| *hash).collect::<Vec<_>>();
            let noted = self.with(room_id, move |turn| {
                turn.slot.iter_mut().for_each(|room| taken.iter().for_each(|hash| room.lpdu_taken(hash)));
            });
            // While the server shuts down nobody watches; after the next start the LPDUs are sent again.
            noted.await.unwrap_or_default();
        }
    }

    /// 403 if the operator has blocked this server.
    pub(crate) async fn check_server(&self, server: &ServerName) -> Result<(), MatrixError> {
        self.0.blocks.now(&*self.0.store).await.map_err(errors::broken)?.check_server(server)
    }

    /// Lets every worker finish what it was handed, and takes nothing more. Returns when all is durable.
    pub async fn close(&self) {
        self.0.registry.close().await;
    }

    /// Runs a command on a room. Returns when what it did is durable.
    pub(crate) async fn with<R, F>(&self, room_id: &RoomId, mut run: F) -> Result<R, MatrixError>
    where
        R: Send + 'static,
        F: FnMut(&mut Turn<'_>) -> R + Send + 'static,
    {
        self.with_needs(room_id, Needs::default(), move |turn, _| run(turn)).await
    }

    /// The same for a command that takes events, or asks about some.
    pub(crate) async fn with_needs<R, F>(&self, room_id: &RoomId, needs: Needs, run: F) -> Result<R, MatrixError>
    where
        R: Send + 'static,
        F: FnMut(&mut Turn<'_>, &[Verified]) -> R + Send + 'static,
    {
        let (call, answer) = worker::Call::new(needs, run);
        let closing = || MatrixError::unknown("The server is shutting down.");
        let mut job = worker::Job::Run(Box::new(call));
        loop {
            let start = |mailbox, running| {
                tokio::spawn(worker::serve(self.0.clone(), room_id.clone(), mailbox, running));
            };
            let worker = self.0.registry.worker(room_id, start).ok_or_else(closing)?;
            match worker.send(job).await {
                Ok(()) => break,
                // It ended in the meantime; the next one gets it.
                Err(unsent) => job = unsent.0,
            }
        }
        answer.await.map_err(|_| closing())?
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
