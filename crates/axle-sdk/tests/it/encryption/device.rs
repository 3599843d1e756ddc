//! A person's device: its keys, what its screen shows, and what was told.

use std::time::{Duration, Instant};

use axle_mls::member::MemoryStore;
use axle_mls::{Layering, RoomEncryption};
use axle_sdk::encryption::{Notice, Pace, RoomStatus};
use axle_sdk::{CreateRoom, Encryption, Error, EventEncryption, RoomList};
use serde_json::{Map, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::hub::World;
use super::server::{Server, Since};

/// Longer than anything here should take, also on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two syncs.
const POLL: Duration = Duration::from_millis(5);
/// A device that waits for Welcomes as long as a test lasts.
pub(crate) const PACE: Pace = Pace {
    welcome: Duration::from_secs(600),
    turn: Duration::from_millis(10),
    retry: Duration::from_millis(1),
    creator: Duration::from_secs(600),
    renew: Duration::from_secs(600),
};

/// One that does not wait for them.
pub(crate) const IMPATIENT: Pace = Pace { welcome: Duration::ZERO, ..PACE };

pub(crate) struct Device {
    pub(crate) server: Server,
    pub(crate) encryption: Encryption,
    pub(crate) store: MemoryStore,
    pub(crate) list: RoomList,
    /// What was told and not looked at.
    pub(crate) told: Vec<Notice>,
    /// How many events of a room a sync brings.
    pub(crate) limit: usize,
    /// Whether the hub lies to it; else nothing is said of that.
    pub(crate) is_misled: bool,
    notices: UnboundedReceiver<Notice>,
    since: Since,
}

impl Device {
    pub(crate) async fn new(world: &World, user: &str, device: &str) -> Self {
        Self::with(world, user, device, MemoryStore::default(), PACE).await
    }

    pub(crate) async fn with(world: &World, user: &str, device: &str, store: MemoryStore, pace: Pace) -> Self {
        let server = Server { world: world.clone(), user: user.into(), device: device.into() };
        let (encryption, notices) =
            Encryption::with_store(server.clone(), user, device, store.clone(), pace, world.clock()).await.unwrap();
        let (list, told, since) = (RoomList::new(user), vec![], Since::default());
        Self { server, encryption, store, list, told, limit: 100, is_misled: false, notices, since }
    }

    /// The program ends, and begins again with what its store has.
    pub(crate) async fn restart(self) -> Self {
        // What still ran in the background does not reach the store of the next.
        let store = self.store.copy();
        self.restart_with(store, PACE).await
    }

    /// The same with another store, at another pace.
    pub(crate) async fn restart_with(self, store: MemoryStore, pace: Pace) -> Self {
        let Self { server, limit, is_misled, encryption, .. } = self;
        drop(encryption);
        let again = Self::with(&server.world, &server.user, &server.device, store, pace).await;
        Self { limit, is_misled, ..again }
    }

    pub(crate) async fn sync(&mut self) {
        let mut response = self.server.sync(&mut self.since, self.limit);
        self.encryption.take_in(&mut response).await.unwrap();
        self.list.apply(response);
        while let Ok(notice) = self.notices.try_recv() {
            if let Notice::Decrypted { room_id, event } = &notice {
                self.list.room_mut(room_id).map(|room| room.replace((**event).clone()));
            }
            assert!(self.is_misled || !matches!(notice, Notice::Misled { .. }), "{notice:?}");
            self.told.push(notice);
        }
    }

    pub(crate) async fn create(&self) -> String {
        self.encryption.create_room(&CreateRoom::default()).await.unwrap()
    }

    /// A room where MLS is on top of the access control.
    pub(crate) async fn create_on_top(&self) -> String {
        let mut room = CreateRoom::default();
        let encryption = RoomEncryption { layering: Layering::OnTop }.to_json();
        room.creation_content.insert("encryption".to_owned(), encryption);
        self.encryption.create_room(&room).await.unwrap()
    }

    pub(crate) async fn try_say(&self, room: &str, text: &str) -> Result<String, Error> {
        let content = Map::from_iter([("msgtype".to_owned(), json!("m.text")), ("body".to_owned(), json!(text))]);
        self.encryption.send(room, "m.room.message", &content, &axle_sdk::new_transaction_id()).await
    }

    pub(crate) async fn say(&self, room: &str, text: &str) {
        self.try_say(room, text).await.unwrap();
    }

    /// What can be read of a room, in order; why not in brackets, where it cannot.
    pub(crate) fn reads(&self, room: &str) -> Vec<String> {
        let Some(view) = self.list.room(room) else { return vec![] };
        let text = |item: &axle_sdk::TimelineItem| match &item.event.encryption {
            Some(EventEncryption::Failed { reason }) => Some(format!("({reason})")),
            _ => item.event.text("body").map(str::to_owned),
        };
        view.timeline().items().filter_map(text).collect()
    }

    pub(crate) fn has_read(&self, room: &str, text: &str) -> bool {
        self.reads(room).iter().any(|read| read == text)
    }

    /// Epoch and devices, if this device is in the group.
    pub(crate) fn group(&self, room: &str) -> Option<(u64, usize)> {
        match self.encryption.status(room).unwrap()? {
            RoomStatus::Encrypted(group) => Some((group.epoch?, group.devices)),
            _ => None,
        }
    }

    pub(crate) fn has_devices(&self, room: &str, count: usize) -> bool {
        self.group(room).is_some_and(|(_, devices)| devices == count)
    }
}

/// Alice's room, which has a group of her device.
pub(crate) async fn alone(world: &World) -> (Device, String) {
    let mut alice = Device::new(world, "@alice:hub.test", "A").await;
    let room = alice.create().await;
    until("there is a group", [&mut alice], |[alice]| alice.has_devices(&room, 1)).await;
    (alice, room)
}

/// All devices sync until this holds.
pub(crate) async fn until<const N: usize>(
    what: &str,
    mut devices: [&mut Device; N],
    mut holds: impl FnMut(&[&mut Device; N]) -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        for device in &mut devices {
            device.sync().await;
        }
        if holds(&devices) {
            return;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// One device alone syncs until there is another commit, so that it is its own.
pub(crate) async fn until_commit(world: &World, room: &str, device: &mut Device) {
    let epoch = || world.lock().rooms[room].group.as_ref().unwrap().epoch();
    let before = epoch();
    until("it has committed", [device], |_| epoch() > before).await;
}

/// Devices agree on who is in the group and on its secrets.
pub(crate) fn assert_agreement(room: &str, devices: &[&Device]) {
    let codes: Vec<_> = devices.iter().map(|device| device.encryption.epoch_code(room).unwrap()).collect();
    assert!(codes.windows(2).all(|pair| pair[0] == pair[1]), "{codes:?}");
}
