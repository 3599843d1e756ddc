//! A server called `a.test` with a store, and queues towards `hub.test`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axle_federation::client::Timeouts;
use axle_federation::sender::{FleetingEdu, QueuedRooms, Sender};
use axle_protocol::event::{Hash, Template};
use axle_protocol::{Event, EventId, RoomId, RoomVersion, ServerName, UserId};
use axle_store::sqlite::{Options, SqliteStore};
use axle_store::{
    Append, Delivery as _, DeliveryChange, DeviceLists as _, EduQueues as _, EventStatus, NewEdu, NewEvent,
    PendingLpdu, RoomLog as _, ToldDevices,
};
use serde_json::json;
use tempfile::TempDir;

use super::peer::{Peer, Seen};
use crate::support::{Ca, client, key, name, timeouts};

const HUB: &str = "hub.test";
/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub store: Arc<SqliteStore>,
    pub rooms: Arc<Rooms>,
    pub sender: Sender,
    folder: TempDir,
}

/// The rooms behind the queues: remember what they were told.
pub struct Rooms {
    store: Arc<SqliteStore>,
    taken: Mutex<Vec<Hash>>,
    refused: Mutex<Vec<(Hash, String)>>,
}

#[async_trait]
impl QueuedRooms for Rooms {
    async fn hub(&self, room_id: &RoomId) -> Option<ServerName> {
        (*room_id == lpdu_room()).then(|| name(HUB))
    }

    async fn lpdus_taken(&self, lpdus: &[(RoomId, Hash)]) {
        self.taken.lock().unwrap().extend(lpdus.iter().map(|(_, hash)| *hash));
    }

    async fn lpdu_refused(&self, _: &RoomId, lpdu_hash: &Hash, reason: &str) {
        self.store.refuse_lpdu(lpdu_hash, reason).await.unwrap();
        self.refused.lock().unwrap().push((*lpdu_hash, reason.to_owned()));
    }
}

impl Rooms {
    pub fn taken(&self) -> Vec<Hash> {
        self.taken.lock().unwrap().clone()
    }

    pub fn refused(&self) -> Vec<(Hash, String)> {
        self.refused.lock().unwrap().clone()
    }
}

impl World {
    pub async fn new(ca: &Ca, peer: &Peer) -> Self {
        Self::with(ca, peer, timeouts()).await
    }

    pub async fn with(ca: &Ca, peer: &Peer, timeouts: Timeouts) -> Self {
        Self::with_idle(ca, peer, timeouts, PATIENCE).await
    }

    /// One whose queues end when they have had nothing to do for so long.
    pub async fn with_idle(ca: &Ca, peer: &Peer, timeouts: Timeouts, idle: Duration) -> Self {
        let folder = TempDir::new().unwrap();
        let world = Self::open(folder, ca, peer, timeouts, "first", idle);
        world.store.append(first()).await.unwrap();
        world
    }

    fn open(folder: TempDir, ca: &Ca, peer: &Peer, timeouts: Timeouts, boot: &str, idle: Duration) -> Self {
        let store = Arc::new(SqliteStore::open(database(&folder), Options::default()).unwrap());
        let rooms = Arc::new(Rooms { store: store.clone(), taken: Mutex::default(), refused: Mutex::default() });
        let client = client(ca, "a.test", 1, &[(HUB, peer.server.address)], timeouts);
        let sender = Sender::ending_after(idle, client, store.clone(), rooms.clone(), boot.to_owned());
        Self { store, rooms, sender, folder }
    }

    /// The process ends and another one starts on the same folder.
    pub async fn restart(self, ca: &Ca, peer: &Peer) -> Self {
        self.sender.stop(Duration::ZERO).await;
        let Self { store, rooms, sender, folder } = self;
        drop((store, rooms, sender));
        Self::open(folder, ca, peer, timeouts(), "second", PATIENCE)
    }

    /// Queues an event and wakes its queue.
    pub async fn queue(&self, n: i64) {
        self.store.append(event(n)).await.unwrap();
        self.sender.wake([&name(HUB)]);
    }

    /// Queues an LPDU and wakes its queue.
    pub async fn queue_lpdu(&self, lpdu: &Event) {
        let pending = PendingLpdu {
            id: 0,
            room_id: lpdu.room_id().clone(),
            lpdu_hash: *lpdu.lpdu_hash().unwrap(),
            json: lpdu.json().into(),
            client_txn: None,
        };
        self.store.queue_lpdu(pending).await.unwrap();
        self.sender.wake_lpdus(&name(HUB));
    }

    /// Queues EDUs that are kept, and wakes their queue.
    pub async fn queue_edus(&self, numbers: impl IntoIterator<Item = i64>) {
        let edu = |n| NewEdu { destination: name(HUB), subject: None, json: json!({"n": n}).to_string() };
        let edus: Vec<NewEdu> = numbers.into_iter().map(edu).collect();
        let user_id = UserId::parse("@u:a.test").unwrap();
        self.store.tell_devices(&user_id, 0, ToldDevices::default(), edus).await.unwrap();
        self.sender.wake_edus([&name(HUB)]);
    }

    /// Hands over an EDU that is not kept.
    pub fn send_fleeting(&self, subject: &str, n: i64) {
        let edu = FleetingEdu { subject: subject.into(), json: json!({"n": n}).to_string().into() };
        self.sender.send_fleeting([&name(HUB)], &edu);
    }

    /// Waits until no EDU is left that is kept.
    pub async fn until_edus_delivered(&self) {
        until(async || self.store.edu_destinations().await.unwrap().is_empty()).await;
    }

    /// Waits until nothing is left to be sent.
    pub async fn until_delivered(&self) {
        until(async || self.store.pending_destinations().await.unwrap().is_empty()).await;
    }

    /// Waits until every queue has ended.
    pub async fn until_ended(&self) {
        until(async || self.sender.running() == 0).await;
    }

    /// The events that were set aside.
    pub async fn parked(&self) -> Vec<String> {
        self.store.parked().await.unwrap().into_iter().map(|parked| parked.event_id.to_string()).collect()
    }
}

/// Waits until this holds.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it never came to be");
}

/// The numbers of the events of a transaction.
pub fn numbers(seen: &Seen) -> Vec<i64> {
    seen.pdus.iter().map(|pdu| pdu["n"].as_i64().unwrap()).collect()
}

/// An LPDU; each body another one.
pub fn lpdu(body: &str) -> Event {
    let template = Template {
        room_id: lpdu_room(),
        event_type: "m.room.message".into(),
        state_key: None,
        sender: UserId::parse("@u:a.test").unwrap(),
        origin_server_ts: 1,
        content: json!({"body": body}).as_object().unwrap().clone(),
    };
    template.into_lpdu(RoomVersion::I1, &name(HUB), &name("a.test"), &key(1)).unwrap()
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("axle.db")
}

fn lpdu_room() -> RoomId {
    RoomId::parse("!r:hub.test").unwrap()
}

fn room() -> RoomId {
    RoomId::parse("!r:a.test").unwrap()
}

/// The event at position 0, after which `hub.test` gets every event.
fn first() -> Append {
    let start = DeliveryChange::Start { destination: name(HUB), after: 0 };
    Append { deliveries: vec![start], expected_head: None, ..event(0) }
}

fn event(n: i64) -> Append {
    let event = NewEvent {
        event_id: EventId::parse(format!("${n}")).unwrap(),
        position: Some(n),
        status: EventStatus::Accepted,
        event_type: "m.room.message".into(),
        state_key: None,
        sender: UserId::parse("@u:a.test").unwrap(),
        origin_server_ts: 1,
        lpdu_hash: None,
        membership: None,
        redacts: None,
        relates_to: None,
        sets_state: false,
        json: json!({"n": n}).to_string().into(),
    };
    Append {
        room_id: room(),
        room_version: RoomVersion::I1,
        expected_head: Some(n - 1),
        events: vec![event],
        deliveries: Vec::new(),
        settled_lpdus: Vec::new(),
        client_txns: Vec::new(),
        lpdus_unasked: false,
        made_here: false,
        announcements: Vec::new(),
        groups: Vec::new(),
    }
}
