//! Several servers in one process, connected without sockets.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axle_client_api::{GroupAt, Paired};
use axle_federation::{
    FederationService, GroupHub, InviteRequest, MembershipChange, PairedAtHub, ReceivedPair, RoomTemplate,
    SentMembership,
};
use axle_protocol::event::Hash;
use axle_protocol::signing::KeySource;
use axle_protocol::{
    Event, EventId, KeyId, MatrixError, RoomId, RoomVersion, ServerName, SigningKey, UserId, VerifyKey,
};
use axle_room::Identity;
use axle_server::rooms::{Keys, Outbound, PeerError, Peers, Rooms, RoomsConfig, SentJoin};
use axle_store::sqlite::{Options, SqliteStore};
use axle_store::{Store, User};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::Notify;

/// How soon a sender tries again.
const RETRY: Duration = Duration::from_millis(10);
/// Events of a transaction.
const TRANSACTION: usize = 50;

/// The network: who is on it, and who cannot be reached.
#[derive(Default)]
pub(crate) struct Net {
    servers: Mutex<HashMap<ServerName, Rooms>>,
    down: Mutex<HashSet<ServerName>>,
    cut: Mutex<HashSet<(ServerName, ServerName)>>,
    replaying: Mutex<HashSet<ServerName>>,
    losing: Mutex<HashSet<ServerName>>,
    stalled: Mutex<HashSet<ServerName>>,
    busy: Mutex<HashSet<ServerName>>,
    lost_lpdus: Mutex<usize>,
    keyless: Mutex<HashSet<ServerName>>,
    in_vain: Mutex<HashMap<ServerName, usize>>,
    followings: Mutex<usize>,
}

/// One server. Dropping it is pulling its plug.
pub(crate) struct Server {
    pub(crate) name: ServerName,
    pub(crate) rooms: Rooms,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) folder: PathBuf,
    net: Arc<Net>,
    wire: Arc<Wire>,
    sender: tokio::task::JoinHandle<()>,
}

pub(crate) fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

/// A server's key: made from its name, so that everybody knows it.
pub(crate) fn key(server: &ServerName) -> SigningKey {
    let seed = axle_protocol::event::sha256(server.as_str());
    SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &seed)
}

impl Net {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes a server unreachable, or reachable again.
    pub(crate) fn set_down(&self, server: &ServerName, down: bool) {
        let mut all = self.down.lock().unwrap();
        if down {
            all.insert(server.clone())
        } else {
            all.remove(server)
        };
    }

    /// Cuts the way from one server to another.
    pub(crate) fn cut(&self, from: &ServerName, to: &ServerName) {
        self.cut.lock().unwrap().insert((from.clone(), to.clone()));
    }

    /// A server that replays the state of a join as a timeline.
    pub(crate) fn set_replaying(&self, server: &ServerName) {
        self.replaying.lock().unwrap().insert(server.clone());
    }

    /// Mends every cut.
    pub(crate) fn mend(&self) {
        self.cut.lock().unwrap().clear();
    }

    /// Loses everything on its way to a server, as if it had been acknowledged.
    pub(crate) fn lose_all(&self, destination: &ServerName, lost: bool) {
        toggle(&self.losing, destination, lost);
    }

    /// Stops a server's queues, or lets them go on. It reaches others all the same.
    pub(crate) fn stall(&self, server: &ServerName, stalled: bool) {
        toggle(&self.stalled, server, stalled);
    }

    /// Whether a server says that it is too busy to backfill.
    pub(crate) fn set_busy(&self, server: &ServerName, busy: bool) {
        toggle(&self.busy, server, busy);
    }

    /// How many LPDUs were lost on their way to a server that seemed to take them.
    pub(crate) fn lost_lpdus(&self) -> usize {
        *self.lost_lpdus.lock().unwrap()
    }

    /// Whether nobody can get a server's keys.
    pub(crate) fn hide_keys(&self, server: &ServerName, hidden: bool) {
        let mut keyless = self.keyless.lock().unwrap();
        if hidden {
            keyless.insert(server.clone())
        } else {
            keyless.remove(server)
        };
    }

    fn is_losing(&self, destination: &ServerName) -> bool {
        self.losing.lock().unwrap().contains(destination)
    }

    /// How often somebody tried to reach a server in vain.
    pub(crate) fn tried_in_vain(&self, server: &ServerName) -> usize {
        self.in_vain.lock().unwrap().get(server).copied().unwrap_or(0)
    }

    /// How often a hub asked somebody what follows in its log.
    pub(crate) fn followings(&self) -> usize {
        *self.followings.lock().unwrap()
    }

    fn reach(&self, from: &ServerName, to: &ServerName) -> Result<Rooms, PeerError> {
        let down = self.down.lock().unwrap();
        let cut = self.cut.lock().unwrap().contains(&(from.clone(), to.clone()));
        if cut || down.contains(to) || down.contains(from) {
            *self.in_vain.lock().unwrap().entry(to.clone()).or_default() += 1;
            return Err(PeerError::Unreachable(format!("{to} is down")));
        }
        let servers = self.servers.lock().unwrap();
        servers.get(to).cloned().ok_or_else(|| PeerError::Unreachable(format!("there is no {to}")))
    }

    /// Starts a server on a folder, with these users.
    pub(crate) async fn start(self: &Arc<Self>, server: &str, folder: PathBuf, users: &[&str]) -> Server {
        let name = name(server);
        let store = SqliteStore::open(folder.join("axle.db"), Options::default()).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        for user in users {
            let user = User {
                user_id: UserId::parse(format!("@{user}:{server}")).unwrap(),
                password_hash: None,
                admin: false,
                deactivated: false,
                erased: false,
                standing: axle_store::Standing::default(),
                created_ts: 0,
            };
            let _ = store.create_user(user, None).await;
        }
        self.start_on(name, folder, store).await
    }

    /// Starts a server on a backup, of which it does not know that it is one.
    pub(crate) async fn start_unaware(self: &Arc<Self>, server: &str, folder: PathBuf) -> Server {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.join("axle.db"), Options::default()).unwrap());
        for room_id in store.restored_rooms().await.unwrap() {
            store.unmark_restored(&room_id).await.unwrap();
        }
        self.start_on(name(server), folder, store).await
    }

    /// Starts a server on a store.
    pub(crate) async fn start_on(self: &Arc<Self>, name: ServerName, folder: PathBuf, store: Arc<dyn Store>) -> Server {
        let wire =
            Arc::new(Wire { net: self.clone(), us: name.clone(), wake: Notify::new(), dead: AtomicBool::new(false) });
        let rooms = Rooms::new(RoomsConfig {
            me: Identity { name: name.clone(), key: key(&name) },
            default_version: RoomVersion::I1,
            store: store.clone(),
            keys: Arc::new(EverybodysKeys(self.clone())),
            peers: wire.clone(),
            outbound: wire.clone(),
        });
        rooms.hold_restored().await.unwrap();
        self.servers.lock().unwrap().insert(name.clone(), rooms.clone());
        rooms.resume().await.unwrap();
        let sender = tokio::spawn(send_queues(wire.clone(), store.clone(), rooms.clone()));
        Server { name, rooms, store, folder, net: self.clone(), wire, sender }
    }
}

impl Server {
    /// Pulls the plug: nothing of it reaches anybody any more, and what is on the disk now is what is left. Returns a
    /// new folder with that.
    pub(crate) fn kill(self) -> PathBuf {
        self.wire.dead.store(true, SeqCst);
        let left = self.folder.join("left");
        std::fs::create_dir(&left).unwrap();
        for file in ["axle.db", "axle.db-wal"] {
            std::fs::copy(self.folder.join(file), left.join(file)).unwrap();
        }
        left
    }

    pub(crate) fn user(&self, localpart: &str) -> UserId {
        UserId::parse(format!("@{localpart}:{}", self.name)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.sender.abort();
        self.net.servers.lock().unwrap().remove(&self.name);
    }
}

/// Sends what is queued, as the federation's senders do.
async fn send_queues(wire: Arc<Wire>, store: Arc<dyn Store>, rooms: Rooms) {
    let mut sent: HashSet<Hash> = HashSet::new();
    loop {
        let _ = tokio::time::timeout(RETRY, wire.wake.notified()).await;
        if wire.net.stalled.lock().unwrap().contains(&wire.us) {
            continue;
        }
        for destination in store.pending_destinations().await.unwrap_or_default() {
            let events = store.pending_events(&destination, 0, TRANSACTION).await.unwrap();
            let Some(last) = events.last().map(|event| event.stream) else { continue };
            let pdus = events.iter().map(|event| raw(&event.json)).collect();
            let loses = wire.net.is_losing(&destination);
            if loses || wire.transaction(&destination, pdus).await.is_some() {
                store.acknowledge(&destination, last);
            }
        }
        for lpdu in store.pending_lpdus(None).await.unwrap_or_default() {
            if sent.contains(&lpdu.lpdu_hash) {
                continue;
            }
            let Ok(Some(hub)) = rooms.hub(&lpdu.room_id).await else { continue };
            let loses = wire.net.is_losing(&hub);
            let failed =
                if loses { Some(Default::default()) } else { wire.transaction(&hub, vec![raw(&lpdu.json)]).await };
            let Some(failed) = failed else { break };
            sent.insert(lpdu.lpdu_hash);
            match failed.values().next() {
                Some(reason) => rooms.refuse_lpdu(&lpdu.room_id, &lpdu.lpdu_hash, reason).await.unwrap(),
                None => rooms.lpdus_taken(&[(lpdu.room_id, lpdu.lpdu_hash)]).await,
            }
            *wire.net.lost_lpdus.lock().unwrap() += usize::from(loses);
        }
    }
}

pub(crate) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

struct Wire {
    net: Arc<Net>,
    us: ServerName,
    wake: Notify,
    dead: AtomicBool,
}

impl Wire {
    fn reach(&self, to: &ServerName) -> Result<Rooms, PeerError> {
        if self.dead.load(SeqCst) {
            return Err(PeerError::Unreachable("the plug is pulled".into()));
        }
        self.net.reach(&self.us, to)
    }

    /// `failed_pdus`; `None` if it has to be sent again.
    async fn transaction(
        &self,
        destination: &ServerName,
        pdus: Vec<Box<RawValue>>,
    ) -> Option<std::collections::BTreeMap<String, String>> {
        let rooms = self.reach(destination).ok()?;
        Some(rooms.transaction(&self.us, pdus).await.ok()?.failed_pdus)
    }
}

impl Outbound for Wire {
    fn wake(&self, _destinations: &[ServerName]) {
        self.wake.notify_one();
    }

    fn wake_lpdus(&self, _hub: &ServerName, _room_id: &RoomId) {
        self.wake.notify_one();
    }
}

fn refused(error: MatrixError) -> PeerError {
    PeerError::Refused(error)
}

fn raws(events: Vec<Arc<str>>) -> Vec<Box<RawValue>> {
    events.iter().map(|json| raw(json)).collect()
}

#[async_trait]
impl Peers for Wire {
    async fn make_membership(
        &self,
        destination: &ServerName,
        change: MembershipChange,
        room_id: &RoomId,
        user_id: &UserId,
        versions: &[RoomVersion],
    ) -> Result<RoomTemplate, PeerError> {
        let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
        let peer = self.reach(destination)?;
        peer.make_membership(&self.us, change, room_id, user_id, Some(&versions)).await.map_err(refused)
    }

    async fn send_join(&self, destination: &ServerName, lpdu: &Event) -> Result<SentJoin, PeerError> {
        let peer = self.reach(destination)?;
        match peer.send_membership(&self.us, MembershipChange::Join, raw(lpdu.json())).await.map_err(refused)? {
            SentMembership::Join { event, state, auth_chain } => {
                Ok(SentJoin { event: Some(raw(&event)), state: raws(state), auth_chain: raws(auth_chain) })
            }
            _ => Err(PeerError::Unreachable("not a join".into())),
        }
    }

    async fn send_leave(&self, destination: &ServerName, lpdu: &Event) -> Result<(), PeerError> {
        let peer = self.reach(destination)?;
        peer.send_membership(&self.us, MembershipChange::Leave, raw(lpdu.json())).await.map_err(refused)?;
        Ok(())
    }

    async fn send_knock(&self, destination: &ServerName, lpdu: &Event) -> Result<Vec<Value>, PeerError> {
        let peer = self.reach(destination)?;
        match peer.send_membership(&self.us, MembershipChange::Knock, raw(lpdu.json())).await.map_err(refused)? {
            SentMembership::Knock { stripped_state } => Ok(stripped_state),
            _ => Err(PeerError::Unreachable("not a knock".into())),
        }
    }

    async fn invite(
        &self,
        destination: &ServerName,
        event: &Event,
        stripped_state: &[Value],
    ) -> Result<Box<RawValue>, PeerError> {
        let peer = self.reach(destination)?;
        let request = InviteRequest {
            event: raw(event.json()),
            invite_room_state: stripped_state.to_vec(),
            room_version: event.version().to_string(),
        };
        Ok(raw(&peer.invite(&self.us, request).await.map_err(refused)?))
    }

    async fn backfill(
        &self,
        destination: &ServerName,
        room_id: &RoomId,
        from: &EventId,
        limit: usize,
    ) -> Result<Vec<Box<RawValue>>, PeerError> {
        let peer = self.reach(destination)?;
        if self.net.busy.lock().unwrap().contains(destination) {
            return Err(refused(MatrixError::limit_exceeded(100)));
        }
        Ok(raws(peer.backfill(&self.us, room_id, from, limit).await.map_err(refused)?))
    }

    async fn following(
        &self,
        destination: &ServerName,
        room_id: &RoomId,
        after: &EventId,
        limit: usize,
    ) -> Result<Vec<Box<RawValue>>, PeerError> {
        let peer = self.reach(destination)?;
        *self.net.followings.lock().unwrap() += 1;
        Ok(raws(peer.following(&self.us, room_id, after, limit).await.map_err(refused)?))
    }

    async fn state(
        &self,
        destination: &ServerName,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<(Vec<Box<RawValue>>, Vec<Box<RawValue>>), PeerError> {
        let peer = self.reach(destination)?;
        let state = peer.state(&self.us, room_id, event_id).await.map_err(refused)?;
        Ok((raws(state.pdus), raws(state.auth_chain)))
    }

    async fn replays_state(&self, destination: &ServerName) -> bool {
        self.net.replaying.lock().unwrap().contains(destination)
    }

    async fn group(&self, hub: &ServerName, room_id: &RoomId, at: &GroupAt) -> Result<Map<String, Value>, PeerError> {
        let commit = match at {
            GroupAt::Now => None,
            GroupAt::After(commit) => Some(commit.clone()),
        };
        self.reach(hub)?.group(&self.us, room_id, commit).await.map_err(refused)
    }

    async fn pair(
        &self,
        hub: &ServerName,
        room_id: &RoomId,
        member: &Event,
        with: PairedAtHub<'_>,
    ) -> Result<Paired, PeerError> {
        let with = match with {
            PairedAtHub::Commit(commit) => ReceivedPair::Commit(raw(commit.json())),
            PairedAtHub::Proposal { sender, message } => {
                ReceivedPair::Proposal { sender: sender.clone(), message: message.to_vec() }
            }
        };
        let paired = self.reach(hub)?.pair(&self.us, room_id, raw(member.json()), with).await.map_err(refused)?;
        Ok(Paired { member_event_id: paired.member_event_id, commit_event_id: paired.commit_event_id })
    }

    async fn propose(
        &self,
        hub: &ServerName,
        room_id: &RoomId,
        sender: &UserId,
        message: &[u8],
    ) -> Result<(), PeerError> {
        self.reach(hub)?.propose(&self.us, room_id, sender.clone(), message.to_vec()).await.map_err(refused)
    }

    async fn report(
        &self,
        hub: &ServerName,
        room_id: &RoomId,
        report: &Map<String, Value>,
    ) -> Result<Option<u64>, PeerError> {
        self.reach(hub)?.report(&self.us, room_id, report.clone()).await.map_err(refused)
    }
}

/// Knows the keys of the servers of the network, unless they are hidden.
#[derive(Clone)]
struct EverybodysKeys(Arc<Net>);

#[async_trait]
impl Keys for EverybodysKeys {
    async fn keys_for(&self, _events: &[Event]) -> Arc<dyn KeySource + Send + Sync> {
        Arc::new(self.clone())
    }
}

impl KeySource for EverybodysKeys {
    fn verify_key(&self, server: &ServerName, id: &KeyId, _at_ts: i64) -> Option<VerifyKey> {
        let is_hidden = self.0.keyless.lock().unwrap().contains(server);
        (id.as_str() == "ed25519:1" && !is_hidden).then(|| key(server).verify_key())
    }
}

/// Puts a server into a set, or takes it out.
fn toggle(set: &Mutex<HashSet<ServerName>>, server: &ServerName, on: bool) {
    let mut set = set.lock().unwrap();
    if on {
        set.insert(server.clone())
    } else {
        set.remove(server)
    };
}
