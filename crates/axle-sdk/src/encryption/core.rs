//! The device with its groups and books, behind one lock; nothing here waits for a server.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use axle_mls::event::CommitContent;
use axle_mls::member::{KeyValue, MemberError, PendingCommit, StoreError};
use axle_mls::{Credential, DeviceKey, Member};
use axle_protocol::event::sha256;
use axle_protocol::{EventId, RoomId, UserId, base64};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::books::{Books, DeviceBook, EventBook, OutgoingWelcome, PendingBook};
use super::engine::Clock;
use super::rooms::{Cipher, Room};
use super::store::Vault;
use super::{EncryptionError, GroupStatus, Notice, RoomStatus};

pub(super) type Result<T> = std::result::Result<T, EncryptionError>;

/// The device, and what it knows of rooms and other devices.
pub(super) struct Core {
    pub(super) member: Member,
    pub(super) books: Books,
    pub(super) rooms: BTreeMap<RoomId, Room>,
    /// What users have published, asked for once and again when a sync says that it has changed.
    pub(super) published: HashMap<UserId, BTreeMap<String, Credential>>,
    /// When servers were asked for the devices of users, of those that have not answered.
    pub(super) asked_for: HashMap<UserId, Instant>,
    clock: Clock,
    key: DeviceKey,
    vault: Vault,
    notices: UnboundedSender<Notice>,
}

/// How a commit is sent.
#[derive(Default)]
pub(super) struct Sending<'a> {
    /// The member event that it goes with, as it was prepared.
    pub(super) member: Option<&'a Value>,
    /// Whether this device comes into the group with it.
    pub(super) joins: bool,
    /// Whether this device takes new keys with it.
    pub(super) updates: bool,
}

impl Core {
    /// The device of this user that the store has; a new one if it is empty.
    pub(super) fn open(
        user_id: &UserId,
        device_id: &str,
        store: impl KeyValue + 'static,
        clock: Clock,
        notices: UnboundedSender<Notice>,
    ) -> Result<Self> {
        let vault = Vault::new(store);
        let books = Books(vault.clone());
        let key = match books.device()? {
            Some(book) if (book.user_id.as_str(), book.device_id.as_str()) == (user_id.as_str(), device_id) => {
                let seed = base64::decode_array(&book.seed).ok_or(EncryptionError::OtherDevice)?;
                DeviceKey::from_seed(user_id.clone(), device_id, &seed)
            }
            Some(_) => return Err(EncryptionError::OtherDevice),
            None => DeviceKey::generate(user_id.clone(), device_id),
        };
        let key = key.map_err(|_| EncryptionError::DeviceId(device_id.to_owned()))?;
        if books.device()?.is_none() {
            books.keep_device(&DeviceBook {
                user_id: user_id.as_str().to_owned(),
                device_id: device_id.to_owned(),
                seed: base64::encode(key.seed()),
                published: false,
                last_resort_at: 0,
                one_time: BTreeMap::new(),
                last_resort: BTreeMap::new(),
                has_strange_packages: false,
            })?;
        }
        let member = Member::open(key.clone(), vault.clone());
        let (rooms, published, asked_for) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Ok(Self { member, books, rooms, published, asked_for, clock, key, vault, notices })
    }

    /// Does something as a whole: all that it changes in groups and books becomes durable at once, or nothing.
    pub(super) fn unit<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.vault.begin();
        match work(self) {
            Ok(value) => match self.vault.commit() {
                Ok(()) => Ok(value),
                Err(error) => {
                    self.reopen();
                    Err(error.into())
                }
            },
            Err(error) => {
                if self.vault.abandon() {
                    self.reopen();
                }
                Err(error)
            }
        }
    }

    /// Groups in memory are not what the store has: they are read again.
    fn reopen(&mut self) {
        self.member = Member::open(self.key.clone(), self.vault.clone());
    }

    /// Makes unreadable in the store what was replaced there.
    pub(super) fn wipe_used_keys(&mut self) -> std::result::Result<(), StoreError> {
        self.vault.forget()
    }

    /// Nobody may listen any more; then there is nobody to tell.
    pub(super) fn tell(&self, notice: Notice) {
        self.notices.send(notice).ok();
    }

    pub(super) fn room(&mut self, id: &RoomId) -> &mut Room {
        self.rooms.entry(id.clone()).or_default()
    }

    /// Whether this device is in the room's group, with a commit that the hub has.
    pub(super) fn is_in(&mut self, id: &RoomId) -> Result<bool> {
        let joins = self.books.pending(id)?.is_some_and(|pending| pending.joins);
        Ok(!joins && self.member.is_in(id))
    }

    /// Seconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        (self.clock)()
    }

    pub(super) fn own_user(&self) -> UserId {
        self.key.credential().user_id.clone()
    }

    /// How a room is encrypted. What once was encrypted cannot become plain.
    pub(super) fn status(&mut self, id: &RoomId) -> Result<Option<RoomStatus>> {
        let Some(cipher) = self.rooms.get(id).and_then(|room| room.cipher.clone()) else { return Ok(None) };
        let layering = match cipher {
            Cipher::Plain if self.books.room(id)?.is_some() => return Err(EncryptionError::Downgraded),
            Cipher::Plain => return Ok(Some(RoomStatus::Plain)),
            Cipher::Unknown(what) => return Ok(Some(RoomStatus::Unknown(what))),
            Cipher::Mls(layering) => layering,
        };
        let (epoch, devices) = match self.is_in(id)? {
            true => (Some(self.member.epoch(id)?), self.member.members(id)?.len()),
            false => (None, 0),
        };
        Ok(Some(RoomStatus::Encrypted(GroupStatus { layering, epoch, devices })))
    }

    /// Tells how a room is encrypted, if that was not told yet.
    pub(super) fn tell_status(&mut self, id: &RoomId) {
        let Ok(Some(status)) = self.status(id) else { return };
        let room = self.room(id);
        if room.told.as_ref() != Some(&status) {
            room.told = Some(status.clone());
            self.tell(Notice::Status { room_id: id.to_string(), status });
        }
    }

    /// Keeps a commit that is about to be sent, with what belongs to it.
    pub(super) fn keep_pending(
        &self,
        id: &RoomId,
        pending: &PendingCommit,
        Sending { member, joins, updates }: Sending<'_>,
        added: &[Credential],
    ) -> Result<PendingBook> {
        let book = PendingBook {
            content: pending.content.to_content(),
            transaction_id: crate::new_transaction_id(),
            paired: member.is_some(),
            member: member.cloned(),
            joins,
            welcome: pending.welcome.as_ref().map(base64::encode),
            welcomed: added.iter().map(|it| (it.user_id.as_str().to_owned(), it.device_id.clone())).collect(),
            updates,
        };
        self.books.keep_pending(id, &book)?;
        Ok(book)
    }

    /// The commit that waits is in the log: its epoch holds, and its Welcomes may go out.
    pub(super) fn confirm(&mut self, id: &RoomId, event_id: &EventId) -> Result<()> {
        let Some(pending) = self.books.pending(id)? else { return Ok(()) };
        self.unit(|core| {
            core.member.confirm(id, event_id)?;
            core.books.note_event(id, event_id.as_str(), &EventBook::Commit)?;
            core.books.drop_pending(id)?;
            let epoch = core.member.epoch(id)?;
            if pending.joins {
                core.begin_book(id, epoch)?;
            } else if pending.updates {
                core.note_update(id)?;
            }
            core.queue_welcome(id, event_id, &pending)
        })?;
        let members = self.member.members(id)?;
        self.meet(id, &members)?;
        self.arrived(id);
        Ok(())
    }

    /// The commit that waits is not in the log and will not be.
    pub(super) fn discard(&mut self, id: &RoomId) -> Result<()> {
        self.unit(|core| {
            if let Some(content) = core.books.pending(id)?.and_then(|it| CommitContent::parse(&it.content).ok()) {
                core.books.add_given_up(id, base64::encode(sha256(&content.message)))?;
            }
            core.books.drop_pending(id)?;
            match core.member.discard(id) {
                Ok(()) | Err(MemberError::NoCommitPending | MemberError::NoGroup) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// This device is in the group from this epoch on.
    pub(super) fn begin_book(&self, id: &RoomId, epoch: u64) -> Result<()> {
        let book = self.books.room(id)?.unwrap_or_default();
        self.books.keep_room(id, &book.come_in(epoch, self.now()))
    }

    fn note_update(&self, id: &RoomId) -> Result<()> {
        let Some(book) = self.books.room(id)? else { return Ok(()) };
        self.books.keep_room(id, &book.with_new_keys(self.now()))
    }

    fn queue_welcome(&self, id: &RoomId, event_id: &EventId, pending: &PendingBook) -> Result<()> {
        let welcome = pending.welcome.as_deref().and_then(base64::decode);
        let Some(welcome) = welcome.filter(|_| !pending.welcomed.is_empty()) else { return Ok(()) };
        let mut content = axle_mls::event::WelcomeContent { welcome, commit_event_id: event_id.clone() }.to_content();
        content.insert(super::WELCOME_ROOM.to_owned(), id.as_str().into());
        self.books.add_to_outbox(OutgoingWelcome {
            room_id: id.to_string(),
            transaction_id: crate::new_transaction_id(),
            content,
            to: pending.welcomed.clone(),
        })
    }

    /// This device is in the group now: nothing of before stands against it.
    pub(super) fn arrived(&mut self, id: &RoomId) {
        let room = self.room(id);
        (room.behind, room.lost, room.outside_since, room.takes_over_at) = (false, false, None, None);
        room.asked = 0;
        // Of no use any more; a Welcome would lead back later to where the group was.
        if let Err(error) = self.books.drop_from_inbox_of(id).and_then(|()| self.books.drop_reports(id)) {
            tracing::debug!(%error, "Welcomes or reports that were not forgotten");
        }
        let room = self.room(id);
        // Who else is missing, and who waits for it.
        room.work = true;
        self.tell_status(id);
    }

    /// This device should be in the group, and is not.
    pub(super) fn outside(&mut self, id: &RoomId) {
        let room = self.room(id);
        room.outside_since.get_or_insert_with(Instant::now);
        room.work = true;
    }
}
