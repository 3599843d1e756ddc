//! What travels between servers besides events: EDUs, and users' devices and keys.
//!
//! [`Between`] is what local users and the rest of the server need of others; [`Incoming`] is what others need of our
//! users. EDUs go to each server of a room directly, also where another one is the room's hub.

mod ensure;
mod ephemeral;
mod incoming;
mod list;
mod presence;
mod remote_claims;
mod remote_keys;
mod told;
mod updates;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use axle_client_api::{MessageElsewhere, OtherServers, PresenceUpdate};
use axle_federation::client::Client;
use axle_federation::edu::{DirectToDevice, ReadReceipt, ToDeviceMessage, Typing};
use axle_federation::sender::{FleetingEdu, Sender};
use axle_protocol::{MatrixError, RoomId, ServerName, UserId};
use axle_store::{ClaimedKey, NewEdu, Receipt, Store, StoreError, UserKeys, WantedKey};

use crate::rooms::Rooms;

pub(crate) use incoming::Incoming;
pub(crate) use list::credentials;

/// The way from this server's users to others.
pub(crate) struct Between {
    me: ServerName,
    store: Arc<dyn Store>,
    rooms: Rooms,
    /// `None`: federation is off. What is kept for others stays in the queues until it is on.
    network: Option<(Client, Sender)>,
    /// Differs from one start of this server to the next.
    boot: String,
    /// What was numbered so far.
    messages: AtomicU64,
    /// Held while others are told of devices, so that each change is told once.
    telling: tokio::sync::Mutex<()>,
    /// Whose devices were asked for lately.
    asked: ensure::Asked,
}

impl Between {
    /// A way over this network. `boot` must differ from every other start of this server.
    pub(crate) fn new(
        me: ServerName,
        store: Arc<dyn Store>,
        rooms: Rooms,
        network: Option<(Client, Sender)>,
        boot: String,
    ) -> Self {
        Self {
            me,
            store,
            rooms,
            network,
            boot,
            messages: AtomicU64::new(0),
            telling: tokio::sync::Mutex::default(),
            asked: ensure::Asked::default(),
        }
    }

    /// Tells the other servers of a room of something that is of use now or never.
    async fn send_fleeting(&self, room_id: &RoomId, subject: String, json: String) {
        let Some((_, sender)) = &self.network else { return };
        match self.rooms.other_servers(room_id).await {
            Ok(servers) => sender.send_fleeting(&servers, &FleetingEdu { subject, json: json.into() }),
            Err(error) => tracing::info!(%room_id, %error, "the servers of a room cannot be told"),
        }
    }

    /// A number that was not used since this server was started.
    fn next_number(&self) -> u64 {
        self.messages.fetch_add(1, Ordering::Relaxed)
    }

    /// Wakes the syncs of everyone who is in a room with a user.
    async fn wake_sharing(&self, user_id: &UserId) -> Result<(), MatrixError> {
        for room_id in self.joined_rooms(user_id).await.map_err(broken)? {
            self.rooms.wake_members(&room_id).await?;
        }
        Ok(())
    }

    async fn joined_rooms(&self, user_id: &UserId) -> Result<Vec<RoomId>, StoreError> {
        let rooms = self.store.user_rooms(user_id).await?.into_iter();
        let joined = rooms.filter(|room| room.membership == axle_protocol::auth::Membership::Join);
        Ok(joined.map(|room| room.room_id).collect())
    }
}

#[async_trait]
impl OtherServers for Between {
    async fn user_keys(
        &self,
        server: &ServerName,
        viewer: &UserId,
        of: BTreeMap<UserId, Vec<String>>,
    ) -> Result<Vec<UserKeys>, MatrixError> {
        remote_keys::query(self, server, viewer, of).await
    }

    async fn claim_keys(
        &self,
        server: &ServerName,
        viewer: &UserId,
        wanted: Vec<WantedKey>,
    ) -> Result<Vec<ClaimedKey>, MatrixError> {
        remote_claims::claim(self, server, viewer, wanted).await
    }

    fn to_device(&self, sender: &UserId, event_type: &str, messages: &[MessageElsewhere]) -> Vec<NewEdu> {
        let edu = |message: &MessageElsewhere| {
            let content = serde_json::from_str(message.content.get()).ok()?;
            let (target, device_id) = (message.user_id.clone(), message.device_id.clone());
            let destination = target.server_name();
            let number = self.next_number();
            let message_id = format!("{}-{number}", self.boot);
            let message = ToDeviceMessage { target, device_id, content };
            let json = DirectToDevice::to_json(sender, event_type, &message_id, &message);
            Some(NewEdu { destination, subject: None, json })
        };
        messages.iter().filter_map(edu).collect()
    }

    fn queued(&self, destinations: &[ServerName]) {
        if let Some((_, sender)) = &self.network {
            sender.wake_edus(destinations);
        }
    }

    fn try_again(&self, destination: &ServerName) {
        if let Some((_, sender)) = &self.network {
            sender.heard_of(destination);
        }
    }

    async fn devices_changed(&self) {
        if let Err(error) = told::tell_all(self).await {
            // It is known in the store what is to be told: the next change, or start, tells it.
            tracing::error!(%error, "other servers could not be told of devices");
        }
    }

    async fn typing(&self, room_id: &RoomId, user_id: &UserId, typing: bool) {
        let edu = Typing { room_id: room_id.clone(), user_id: user_id.clone(), typing };
        self.send_fleeting(room_id, format!("typing {room_id} {user_id}"), edu.to_json()).await;
    }

    async fn read(&self, room_id: &RoomId, receipt: &Receipt) {
        let (user_id, thread) = (receipt.user_id.clone(), receipt.thread.clone());
        let subject = format!("receipt {room_id} {user_id} {}", thread.as_deref().unwrap_or_default());
        let event_id = receipt.event_id.clone();
        let edu = ReadReceipt { room_id: room_id.clone(), user_id, event_id, thread, ts: receipt.ts };
        self.send_fleeting(room_id, subject, edu.to_json()).await;
    }

    async fn presence(&self, updates: Vec<PresenceUpdate>) {
        if let Err(error) = presence::tell(self, updates).await {
            tracing::info!(%error, "other servers were not told who is there");
        }
    }
}

/// Does what takes the processor for a while, signatures above all, away from the threads that answer.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, MatrixError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "keys could not be checked");
        MatrixError::unknown("The keys could not be checked.")
    })
}

fn broken(error: StoreError) -> MatrixError {
    tracing::error!(%error, "the store failed");
    MatrixError::unknown("The server could not read or write its storage.")
}
