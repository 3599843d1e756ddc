//! What is kept of rooms, events and people besides the groups themselves.

use std::collections::BTreeMap;

use axle_mls::event::EncryptedContent;
use axle_protocol::event::sha256;
use axle_protocol::{RoomId, UserId, base64};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::EncryptionError;
use super::missed::Missed;
use super::put_back::Staleness;
use super::store::Vault;

/// Events of one room whose content is kept after it was decrypted: each can be decrypted once only.
pub(super) const KEPT_EVENTS: u64 = 1000;
/// Welcomes that wait to be sent, or for their room to arrive. The oldest are dropped.
const MAX_WELCOMES: usize = 128;
/// Commits of one room that were dropped, of which it is remembered that they were made here.
const MAX_GIVEN_UP: usize = 16;
/// Devices of one user that are remembered.
const MAX_KNOWN_DEVICES: usize = 1000;

type Result<T> = std::result::Result<T, EncryptionError>;

/// The books of one device.
#[derive(Clone)]
pub(super) struct Books(pub(super) Vault);

/// The device itself.
#[derive(Serialize, Deserialize)]
pub(super) struct DeviceBook {
    pub(super) user_id: String,
    pub(super) device_id: String,
    /// In base64.
    pub(super) seed: String,
    /// Whether the server has taken the device object.
    pub(super) published: bool,
    /// When the KeyPackage of last resort was made, in seconds since the Unix epoch.
    pub(super) last_resort_at: u64,
    /// KeyPackages that the server has not taken yet, by id.
    pub(super) one_time: BTreeMap<String, String>,
    pub(super) last_resort: BTreeMap<String, String>,
    /// Whether the server may have KeyPackages whose private half is not in this store.
    #[serde(default)]
    pub(super) has_strange_packages: bool,
}

/// A room that is encrypted, for ever.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct RoomBook {
    /// The epoch in which this device joined. Nothing older can be read.
    pub(super) joined_epoch: u64,
    /// When this device took new keys, in seconds since the Unix epoch.
    pub(super) updated_at: u64,
    /// When this device is to take new keys for those that it was let in with, likewise.
    #[serde(default)]
    pub(super) renew_at: Option<u64>,
    /// How many events were noted.
    pub(super) noted: u64,
    /// Why a commit did not fit the room as it is known here, until the user has said that it is well.
    #[serde(default)]
    pub(super) misled: Option<String>,
    /// Whether this device is in the group, as far as it knows: it was not removed since it came in.
    #[serde(default)]
    pub(super) is_inside: bool,
    #[serde(default)]
    pub(super) missed: Option<Missed>,
    #[serde(default)]
    pub(super) staleness: Staleness,
}

/// What became of an event.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum EventBook {
    /// A commit, applied.
    Commit,
    /// A message, decrypted.
    Message { event_type: String, content: Map<String, Value>, device_id: String, epoch: u64 },
    /// Its content was taken back.
    Redacted,
    /// A message of this device that its store did not know when it came: it is an older copy.
    Unknown,
}

/// What this device is about to say, or has said: it cannot decrypt that itself.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct OwnMessage {
    pub(super) event_type: String,
    pub(super) content: Map<String, Value>,
    pub(super) epoch: u64,
}

/// A commit of this device that the hub has not answered yet.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PendingBook {
    pub(super) content: Map<String, Value>,
    pub(super) transaction_id: String,
    /// Whether it is sent with a member event.
    pub(super) paired: bool,
    /// That, as it was prepared. Together they are sent again after a lost answer.
    #[serde(default)]
    pub(super) member: Option<Value>,
    /// Whether this device comes into the group with it.
    pub(super) joins: bool,
    /// In base64; for the devices that it adds.
    pub(super) welcome: Option<String>,
    pub(super) welcomed: Vec<(String, String)>,
    /// Whether this device takes new keys with it.
    pub(super) updates: bool,
}

/// A Welcome that is to be sent.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct OutgoingWelcome {
    pub(super) room_id: String,
    pub(super) transaction_id: String,
    pub(super) content: Map<String, Value>,
    pub(super) to: Vec<(String, String)>,
}

/// A Welcome that came and was not used yet.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct WaitingWelcome {
    pub(super) sender: String,
    pub(super) content: Map<String, Value>,
}

/// What the hub is to be told of a commit.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct WaitingReport {
    /// Whether it says that the commit could be applied.
    pub(super) applied: bool,
    /// The signed report.
    pub(super) report: Map<String, Value>,
}

/// What is known of another device.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KnownDevice {
    /// Its signature key, in base64.
    pub(super) key: String,
    /// The key that the user has found to be right.
    pub(super) verified: Option<String>,
}

const DEVICE: &str = "sdk device";
const OUTBOX: &str = "sdk outbox";
const INBOX: &str = "sdk inbox";

impl Books {
    pub(super) fn device(&self) -> Result<Option<DeviceBook>> {
        Ok(self.0.read(DEVICE)?)
    }

    pub(super) fn keep_device(&self, book: &DeviceBook) -> Result<()> {
        Ok(self.0.write(DEVICE, book)?)
    }

    pub(super) fn room(&self, room: &RoomId) -> Result<Option<RoomBook>> {
        Ok(self.0.read(&format!("sdk room {room}"))?)
    }

    pub(super) fn keep_room(&self, room: &RoomId, book: &RoomBook) -> Result<()> {
        Ok(self.0.write(&format!("sdk room {room}"), book)?)
    }

    pub(super) fn event(&self, room: &RoomId, event_id: &str) -> Result<Option<EventBook>> {
        Ok(self.0.read(&event_name(room, event_id))?)
    }

    /// Notes what became of an event. The oldest is forgotten where there are too many.
    pub(super) fn note_event(&self, room: &RoomId, event_id: &str, book: &EventBook) -> Result<()> {
        let name = event_name(room, event_id);
        if self.0.read::<EventBook>(&name)?.is_none() {
            let mut of_room = self.room(room)?.unwrap_or_default();
            let slot = format!("sdk slot {room} {}", of_room.noted % KEPT_EVENTS);
            if let Some(oldest) = self.0.read::<String>(&slot)? {
                self.0.erase(&event_name(room, &oldest))?;
            }
            self.0.write(&slot, &event_id)?;
            of_room.noted += 1;
            self.keep_room(room, &of_room)?;
        }
        Ok(self.0.write(&name, book)?)
    }

    pub(super) fn own(&self, room: &RoomId, message: &EncryptedContent) -> Result<Option<OwnMessage>> {
        Ok(self.0.read(&own_name(room, message))?)
    }

    pub(super) fn keep_own(&self, room: &RoomId, message: &EncryptedContent, own: &OwnMessage) -> Result<()> {
        Ok(self.0.write(&own_name(room, message), own)?)
    }

    pub(super) fn drop_own(&self, room: &RoomId, message: &EncryptedContent) -> Result<()> {
        Ok(self.0.erase(&own_name(room, message))?)
    }

    pub(super) fn pending(&self, room: &RoomId) -> Result<Option<PendingBook>> {
        Ok(self.0.read(&format!("sdk pending {room}"))?)
    }

    pub(super) fn keep_pending(&self, room: &RoomId, pending: &PendingBook) -> Result<()> {
        Ok(self.0.write(&format!("sdk pending {room}"), pending)?)
    }

    pub(super) fn drop_pending(&self, room: &RoomId) -> Result<()> {
        Ok(self.0.erase(&format!("sdk pending {room}"))?)
    }

    pub(super) fn drop_reports(&self, room: &RoomId) -> Result<()> {
        if self.reports(room)?.is_empty() { Ok(()) } else { self.keep_reports(room, &[]) }
    }

    /// Commits of this device that were not in the log when they were dropped: the hashes of their messages, in base64.
    pub(super) fn given_up(&self, room: &RoomId) -> Result<Vec<String>> {
        Ok(self.0.read(&format!("sdk given up {room}"))?.unwrap_or_default())
    }

    /// Notes one more; the oldest is forgotten where there are too many.
    pub(super) fn add_given_up(&self, room: &RoomId, hash: String) -> Result<()> {
        let mut hashes = self.given_up(room)?;
        hashes.push(hash);
        let surplus = hashes.len().saturating_sub(MAX_GIVEN_UP);
        hashes.drain(..surplus);
        Ok(self.0.write(&format!("sdk given up {room}"), &hashes)?)
    }

    /// What this device has to tell the hub of commits, the oldest first.
    pub(super) fn reports(&self, room: &RoomId) -> Result<Vec<WaitingReport>> {
        Ok(self.0.read(&format!("sdk reports {room}"))?.unwrap_or_default())
    }

    pub(super) fn keep_reports(&self, room: &RoomId, reports: &[WaitingReport]) -> Result<()> {
        let name = format!("sdk reports {room}");
        if reports.is_empty() { Ok(self.0.erase(&name)?) } else { Ok(self.0.write(&name, &reports)?) }
    }

    pub(super) fn outbox(&self) -> Result<Vec<OutgoingWelcome>> {
        Ok(self.0.read(OUTBOX)?.unwrap_or_default())
    }

    pub(super) fn add_to_outbox(&self, welcome: OutgoingWelcome) -> Result<()> {
        let mut outbox = self.outbox()?;
        outbox.push(welcome);
        let surplus = outbox.len().saturating_sub(MAX_WELCOMES);
        outbox.drain(..surplus);
        Ok(self.0.write(OUTBOX, &outbox)?)
    }

    pub(super) fn drop_from_outbox(&self, transaction_id: &str) -> Result<()> {
        let mut outbox = self.outbox()?;
        outbox.retain(|welcome| welcome.transaction_id != transaction_id);
        Ok(self.0.write(OUTBOX, &outbox)?)
    }

    pub(super) fn inbox(&self) -> Result<Vec<WaitingWelcome>> {
        Ok(self.0.read(INBOX)?.unwrap_or_default())
    }

    pub(super) fn add_to_inbox(&self, welcome: WaitingWelcome) -> Result<()> {
        let mut inbox = self.inbox()?;
        if !inbox.contains(&welcome) {
            inbox.push(welcome);
        }
        let surplus = inbox.len().saturating_sub(MAX_WELCOMES);
        inbox.drain(..surplus);
        Ok(self.0.write(INBOX, &inbox)?)
    }

    pub(super) fn drop_from_inbox(&self, welcome: &WaitingWelcome) -> Result<()> {
        let mut inbox = self.inbox()?;
        inbox.retain(|other| other != welcome);
        Ok(self.0.write(INBOX, &inbox)?)
    }

    /// Drops the Welcomes that name this room.
    pub(super) fn drop_from_inbox_of(&self, room: &RoomId) -> Result<()> {
        let mut inbox = self.inbox()?;
        let before = inbox.len();
        inbox.retain(|it| it.content.get(super::WELCOME_ROOM).and_then(Value::as_str) != Some(room.as_str()));
        if inbox.len() == before { Ok(()) } else { Ok(self.0.write(INBOX, &inbox)?) }
    }

    pub(super) fn known(&self, user: &UserId) -> Result<BTreeMap<String, KnownDevice>> {
        Ok(self.0.read(&format!("sdk known {user}"))?.unwrap_or_default())
    }

    /// Remembers a user's devices; of too many, those that were verified.
    pub(super) fn keep_known(&self, user: &UserId, known: &BTreeMap<String, KnownDevice>) -> Result<()> {
        let mut known = known.clone();
        while known.len() > MAX_KNOWN_DEVICES {
            let unverified = known.iter().find(|(_, device)| device.verified.is_none());
            let Some(surplus) = unverified.or_else(|| known.iter().next()).map(|(id, _)| id.clone()) else { break };
            known.remove(&surplus);
        }
        Ok(self.0.write(&format!("sdk known {user}"), &known)?)
    }
}

fn event_name(room: &RoomId, event_id: &str) -> String {
    format!("sdk event {room} {event_id}")
}

fn own_name(room: &RoomId, message: &EncryptedContent) -> String {
    format!("sdk own {room} {}", base64::encode(sha256(&message.ciphertext)))
}
