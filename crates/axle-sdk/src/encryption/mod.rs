//! End-to-end encryption of rooms by MLS (docs/mls.md): this device in the groups of its rooms.
//!
//! [`Encryption`] stands between a [`crate::Client`] and a model of rooms. Each sync goes through [`Encryption::take_in`]
//! first, which applies commits, decrypts messages, and sees what has to be done for the groups; that is done in the
//! background. What is sent goes through [`Encryption::send`], and who is put out through [`Encryption::kick`] and the
//! like. Rooms that are not encrypted are left as they are.

mod answers;
mod bindings;
mod books;
mod commits;
mod core;
mod engine;
mod entering;
mod error;
mod following;
mod gap;
mod incoming;
mod joining;
mod keys;
mod membership;
mod missed;
mod notice;
mod put_back;
mod renewal;
mod reports;
mod rooms;
mod sending;
mod server;
mod store;
mod tending;
mod trust;

use std::sync::{Arc, Mutex, PoisonError};

use axle_mls::member::{KeyValue, Sealed, epoch_code};
use axle_protocol::{RoomId, UserId};
use serde_json::{Map, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

pub use engine::{Clock, Pace, system_clock};
pub use error::EncryptionError;
pub use notice::{DeviceView, GroupStatus, KeyPlace, Notice, RoomStatus, Trust};
pub use server::{ByDevice, Homeserver};
pub use store::FileStore;

use self::core::Core;
use crate::{CreateRoom, Error, MessagesPage, NewFile, SyncResponse};
use engine::Engine;

/// Beside what the draft has in a Welcome: the room, so that the device that gets it need not try all.
const WELCOME_ROOM: &str = "im.axle.mls.room_id";
/// Before the number of a try, in transaction ids: what is encrypted anew is another request.
const TRY_MARK: char = '~';

/// This device in the groups of its rooms. Cheap to clone; what it does in the background ends with the last clone.
#[derive(Clone)]
pub struct Encryption {
    engine: Arc<Engine>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Encryption {
    /// Opens the keys of a device in a file, and has the server publish what it does not have yet. What happens is told
    /// through the receiver; whoever follows syncs has to read it.
    pub async fn open(
        server: impl Homeserver,
        user_id: &str,
        device_id: &str,
        place: &KeyPlace,
    ) -> Result<(Self, UnboundedReceiver<Notice>), Error> {
        let store = FileStore::open(&place.path)?;
        let store = Sealed::new(store, &place.secret).map_err(EncryptionError::Store)?;
        Self::with_store(server, user_id, device_id, store, Pace::default(), system_clock()).await
    }

    /// The same with any store, at another pace, and by another clock.
    pub async fn with_store(
        server: impl Homeserver,
        user_id: &str,
        device_id: &str,
        store: impl KeyValue + 'static,
        pace: Pace,
        clock: Clock,
    ) -> Result<(Self, UnboundedReceiver<Notice>), Error> {
        let user = UserId::parse(user_id).map_err(|_| EncryptionError::Answer("the user id"))?;
        let (notices, receiver) = unbounded_channel();
        let core = Core::open(&user, device_id, store, clock, notices)?;
        let engine = Arc::new(Engine::new(Arc::new(server), core, pace));
        engine.publish().await?;
        Ok((Self { engine, tasks: Arc::default() }, receiver))
    }

    /// Takes in a sync: messages in it that can be read become what they say, the others say why they cannot
    /// ([`crate::Event::encryption`]). Fails only if the store does. The same sync may be taken in twice.
    pub async fn take_in(&self, response: &mut SyncResponse) -> Result<(), Error> {
        let outcome = self.engine.take_in(response).await;
        self.wake();
        outcome
    }

    /// Decrypts a page of history.
    pub fn take_in_history(&self, room_id: &str, page: &mut MessagesPage) -> Result<(), Error> {
        self.engine.take_in_history(room_id, page)
    }

    /// Makes a room that is encrypted for ever, with its group, unless its version knows no such thing. Returns its id. It is
    /// layered as *bound*, unless the creation content has an `encryption` of its own.
    pub async fn create_room(&self, room: &CreateRoom) -> Result<String, Error> {
        let made = self.engine.create_room(room).await;
        self.wake();
        made
    }

    /// Joins a room, and with the same stroke its group where it has one. `room` and `via`: as of
    /// [`crate::Client::join`]. Returns the room's id.
    pub async fn join(&self, room: &str, via: &[String]) -> Result<String, Error> {
        let joined = self.engine.enter(room, via).await;
        self.wake();
        joined
    }

    /// Sends an event, encrypted where the room is. Returns its id. Again with the same transaction id, it may be sent
    /// twice only if the hub has refused it before.
    pub async fn send(
        &self,
        room_id: &str,
        event_type: &str,
        content: &Map<String, Value>,
        transaction_id: &str,
    ) -> Result<String, Error> {
        let sent = self.engine.send(room_id, event_type, content, transaction_id).await;
        self.wake();
        sent
    }

    /// Sends a file, encrypted under a key of its own where the room is. Returns the id of the message; transactions as with
    /// [`Self::send`].
    pub async fn send_file(&self, room_id: &str, file: NewFile, transaction_id: &str) -> Result<String, Error> {
        let sent = self.engine.send_file(room_id, file, transaction_id).await;
        self.wake();
        sent
    }

    /// Puts a user out, and all devices of theirs out of the group with the same stroke.
    pub async fn kick(&self, room_id: &str, user_id: &str, reason: Option<&str>) -> Result<(), Error> {
        let outcome = self.engine.put_out(room_id, "kick", user_id, reason).await;
        self.wake();
        outcome
    }

    /// The same for good.
    pub async fn ban(&self, room_id: &str, user_id: &str, reason: Option<&str>) -> Result<(), Error> {
        let outcome = self.engine.put_out(room_id, "ban", user_id, reason).await;
        self.wake();
        outcome
    }

    /// Leaves a room, and its group; forgets the group's keys.
    pub async fn leave(&self, room_id: &str) -> Result<(), Error> {
        self.engine.leave(room_id).await
    }

    /// How a room is encrypted; `None` before a sync has told of it.
    pub fn status(&self, room_id: &str) -> Result<Option<RoomStatus>, EncryptionError> {
        self.engine.core().status(&parse_room(room_id)?)
    }

    /// The devices in a room's group, with the codes to compare.
    pub fn devices(&self, room_id: &str) -> Result<Vec<DeviceView>, EncryptionError> {
        self.engine.core().devices(&parse_room(room_id)?)
    }

    /// Notes that the code of a device was compared and is right.
    pub fn verify(&self, user_id: &str, device_id: &str) -> Result<(), EncryptionError> {
        let user = UserId::parse(user_id).map_err(|_| EncryptionError::NoSuchDevice)?;
        self.engine.core().verify(&user, device_id)
    }

    /// Goes on after [`Notice::Misled`]: the user knows, and messages to the room are sent again.
    pub fn proceed(&self, room_id: &str) -> Result<(), EncryptionError> {
        self.engine.core().proceed(&parse_room(room_id)?)
    }

    /// The code of a room's group in this epoch: the same on every device in it. Fails if this device is not in it.
    pub fn epoch_code(&self, room_id: &str) -> Result<(u64, String), EncryptionError> {
        let id = parse_room(room_id)?;
        let mut core = self.engine.core();
        if !core.is_in(&id)? {
            return Err(EncryptionError::NotInGroup);
        }
        Ok((core.member.epoch(&id)?, epoch_code(&core.member.epoch_authenticator(&id)?)))
    }

    /// Has done what has to be done, one task a room.
    fn wake(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        for id in self.engine.rooms_with_work() {
            let engine = Arc::clone(&self.engine);
            tasks.spawn(async move { engine.work_on(&id).await });
        }
        if self.engine.has_chores() {
            let engine = Arc::clone(&self.engine);
            tasks.spawn(async move { engine.do_chores().await });
        }
        if self.engine.is_to_wipe() {
            let engine = Arc::clone(&self.engine);
            tasks.spawn(async move { engine.wipe().await });
        }
    }
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encryption({:?})", self.engine.core().member)
    }
}

fn parse_room(room_id: &str) -> Result<RoomId, EncryptionError> {
    RoomId::parse(room_id).map_err(|_| EncryptionError::Answer("the room id"))
}
