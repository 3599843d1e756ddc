//! Events of encrypted rooms, in the order of the log: commits are applied, messages decrypted.

use axle_mls::Layering;
use axle_mls::event::{CommitContent, EncryptedContent};
use axle_mls::member::{MemberError, commit_epoch, message_epoch};
use axle_protocol::{EventId, RoomId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::books::{EventBook, OwnMessage};
use super::core::{Core, Result};
use super::{EncryptionError, Notice};
use crate::{Event, EventEncryption};

/// What is encrypted: an event as it would have been sent.
#[derive(Serialize, Deserialize)]
pub(super) struct Plaintext {
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) content: Map<String, Value>,
    /// So that a message cannot be shown in another room.
    pub(super) room_id: String,
}

/// The types that a room's group lives on, in its log.
pub(super) const GROUP_EVENTS: [&str; 2] = [CommitContent::EVENT_TYPE, EncryptedContent::EVENT_TYPE];
/// Types that mean something to servers, or to this client, in the clear only.
const NEVER_ENCRYPTED: [&str; 3] = ["m.room.redaction", CommitContent::EVENT_TYPE, EncryptedContent::EVENT_TYPE];
/// The longest type of an event, in bytes.
const MAX_TYPE_BYTES: usize = 255;

/// Why a message cannot be read.
struct Unreadable {
    reason: String,
    /// Whether its keys may still come.
    waits: bool,
}

/// How a message has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// In the order of the log, after what is known.
    Following,
    /// From history, which may show again what is not remembered any more.
    History,
}

/// What is said of a message of this device that its store did not know.
const UNKNOWN_OWN: &str = "this device has sent it, but its keys are an older copy and know nothing of that";

impl Core {
    /// Takes in the events of a room, oldest first. Messages that can be read are changed to what they say. `complete`: they
    /// are all that happened after what is known of the room.
    pub(super) fn take_events(&mut self, id: &RoomId, events: &mut [Event], complete: bool) -> Result<()> {
        for event in events {
            let room = self.room(id);
            if complete {
                room.fold(event);
            }
            if room.layering().is_none() {
                continue;
            }
            match event.event_type.as_str() {
                CommitContent::EVENT_TYPE if event.state_key.is_none() => self.take_commit(id, event, complete)?,
                EncryptedContent::EVENT_TYPE if event.state_key.is_none() => {
                    self.take_message(id, event, Course::Following)?
                }
                "m.room.redaction" => self.take_redaction(id, event)?,
                _ => {}
            }
        }
        self.tell_status(id);
        Ok(())
    }

    /// Whether what became of any of these events is known.
    pub(super) fn knows_any(&self, id: &RoomId, events: &[Event]) -> Result<bool> {
        for event in events.iter().filter(|event| GROUP_EVENTS.contains(&event.event_type.as_str())) {
            if self.books.event(id, &event.event_id)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take_commit(&mut self, id: &RoomId, event: &Event, complete: bool) -> Result<()> {
        if self.books.event(id, &event.event_id)?.is_some() {
            return Ok(());
        }
        let parsed = (CommitContent::parse(&event.content), EventId::parse(&event.event_id));
        let (Ok(content), Ok(event_id)) = parsed else { return Ok(()) };
        let Some(epoch) = commit_epoch(&content) else { return Ok(()) };
        let pending = self.books.pending(id)?;
        if pending.as_ref().is_some_and(|pending| is_same(&pending.content, &content)) {
            return self.confirm(id, &event_id);
        }
        if pending.is_some_and(|pending| pending.joins) || !self.member.is_in(id) {
            self.room(id).behind |= self.member.is_in(id);
            self.outside(id);
            return Ok(());
        }
        let current = self.member.epoch(id)?;
        if epoch == current {
            return self.apply_commit(id, event, &content, &event_id, complete);
        }
        // One of before this device joined is none of its business. One that was passed over, or takes the place of one
        // that was applied or by which this device has joined, is.
        let joined = self.books.room(id)?.map_or(0, |book| book.joined_epoch);
        if epoch + 1 >= joined {
            let room = self.room(id);
            (room.behind, room.work) = (true, true);
        }
        Ok(())
    }

    fn apply_commit(
        &mut self,
        id: &RoomId,
        event: &Event,
        content: &CommitContent,
        event_id: &EventId,
        complete: bool,
    ) -> Result<()> {
        let epoch = self.member.epoch(id)?;
        let applied = self.unit(|core| {
            let processed = core.member.process(id, content, event_id)?;
            core.books.note_event(id, event_id.as_str(), &EventBook::Commit)?;
            // Another's has taken the place of one that waited.
            core.books.drop_pending(id)?;
            let is_put_back = processed.is_unknown_own && !core.has_given_up(id, content)?;
            match (is_put_back, processed.removed) {
                (true, _) => core.note_put_back(id)?,
                (false, true) => core.note_gone(id)?,
                (false, false) => {}
            }
            Ok(processed)
        });
        match applied {
            Ok(processed) if processed.removed => {
                if processed.is_unknown_own {
                    self.note_displaced(id);
                }
                self.outside(id);
            }
            Ok(processed) => {
                self.meet(id, &processed.changes.added)?;
                self.note_applied(id, content, &processed)?;
                if self.room(id).layering() == Some(Layering::Bound) {
                    self.check_binding(id, event, &processed, complete)?;
                }
                self.room(id).work = true;
            }
            Err(EncryptionError::Group(MemberError::OwnCommit)) => {
                if !self.has_given_up(id, content)? {
                    self.note_put_back(id)?;
                }
                // The others could apply it; what it leads to, this device can only join.
                if !self.room(id).lost {
                    self.note_displaced(id);
                }
                let room = self.room(id);
                (room.behind, room.lost, room.work) = (true, true, true);
            }
            Err(EncryptionError::Group(error)) => {
                tracing::debug!(%error, room = %id, "a commit that cannot be applied");
                self.note_not_applied(id, event_id, epoch + 1, content)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Shows what an encrypted message says, or why that cannot be known.
    pub(super) fn take_message(&mut self, id: &RoomId, event: &mut Event, course: Course) -> Result<()> {
        match self.read_message(id, event, course)? {
            Ok(book) => show(event, book),
            Err(Unreadable { reason, waits }) => {
                if waits {
                    self.room(id).wait(event);
                }
                event.encryption = Some(EventEncryption::Failed { reason });
            }
        }
        Ok(())
    }

    fn read_message(
        &mut self,
        id: &RoomId,
        event: &Event,
        course: Course,
    ) -> Result<std::result::Result<EventBook, Unreadable>> {
        let redacted = event.unsigned.redacted_because.is_some();
        if redacted {
            self.books.note_event(id, &event.event_id, &EventBook::Redacted)?;
            return Ok(Ok(EventBook::Redacted));
        }
        if let Some(book) = self.books.event(id, &event.event_id)? {
            return Ok(if matches!(book, EventBook::Unknown) { Err(never(UNKNOWN_OWN)) } else { Ok(book) });
        }
        let Ok(content) = EncryptedContent::parse(&event.content) else {
            return Ok(Err(never("it is not encrypted as this room is")));
        };
        if event.sender == self.own_user().as_str()
            && let Some(own) = self.books.own(id, &content)?
        {
            return self.own_message(id, event, &content, own).map(Ok);
        }
        let epoch = message_epoch(&content);
        if !self.is_in(id)? {
            self.outside(id);
            let reason = "this device is not in the room's group yet".to_owned();
            return Ok(Err(Unreadable { reason, waits: true }));
        }
        if let Some(epoch) = epoch
            && let Some(reason) = self.why_before_us(id, epoch)?
        {
            return Ok(Err(never(reason)));
        }
        self.decrypt(id, event, &content, course)
    }

    /// What this device has said itself has come back.
    fn own_message(
        &mut self,
        id: &RoomId,
        event: &Event,
        content: &EncryptedContent,
        own: OwnMessage,
    ) -> Result<EventBook> {
        let device_id = self.member.credential().device_id.clone();
        let OwnMessage { event_type, content: said, epoch } = own;
        let book = EventBook::Message { event_type, content: said, device_id, epoch };
        self.unit(|core| {
            core.books.note_event(id, &event.event_id, &book)?;
            core.books.drop_own(id, content)
        })?;
        Ok(book)
    }

    fn decrypt(
        &mut self,
        id: &RoomId,
        event: &Event,
        content: &EncryptedContent,
        course: Course,
    ) -> Result<std::result::Result<EventBook, Unreadable>> {
        let decrypted = self.unit(|core| {
            let decrypted = core.member.decrypt(id, content)?;
            let sender = decrypted.sender;
            let book = open(&decrypted.plaintext, id, event).filter(|_| sender.user_id.as_str() == event.sender);
            let Some(Plaintext { event_type, content, .. }) = book else { return Ok(None) };
            let (device_id, epoch) = (sender.device_id, decrypted.epoch);
            let book = EventBook::Message { event_type, content, device_id, epoch };
            core.books.note_event(id, &event.event_id, &book)?;
            Ok(Some(book))
        });
        match decrypted {
            Ok(Some(book)) => Ok(Ok(book)),
            Ok(None) => Ok(Err(never("it is not what its sender's device has encrypted for this room"))),
            Err(EncryptionError::Group(MemberError::WrongEpoch { .. })) => {
                let room = self.room(id);
                (room.behind, room.work) = (true, true);
                Ok(Err(Unreadable { reason: "the commit before it has not come yet".into(), waits: true }))
            }
            // That it is of another user's event is for nobody to learn from.
            Err(EncryptionError::Group(MemberError::OwnMessage))
                if course == Course::Following && event.sender == self.own_user().as_str() =>
            {
                self.unit(|core| {
                    core.books.note_event(id, &event.event_id, &EventBook::Unknown)?;
                    core.note_put_back(id)
                })?;
                Ok(Err(never(UNKNOWN_OWN)))
            }
            Err(EncryptionError::Group(error)) => {
                tracing::debug!(%error, event = event.event_id, "a message that cannot be decrypted");
                Ok(Err(never("its key is gone, or was never here")))
            }
            Err(error) => Err(error),
        }
    }

    /// What was taken back is not kept here either.
    fn take_redaction(&mut self, id: &RoomId, event: &Event) -> Result<()> {
        let Some(target) = event.redaction_target() else { return Ok(()) };
        if matches!(self.books.event(id, target)?, Some(EventBook::Message { .. })) {
            self.books.note_event(id, target, &EventBook::Redacted)?;
        }
        Ok(())
    }

    /// Tries messages again that came before their keys. Those that can be read now are told of.
    pub(super) fn try_waiting(&mut self, id: &RoomId) -> Result<()> {
        for mut event in std::mem::take(&mut self.room(id).waiting) {
            event.encryption = None;
            self.take_message(id, &mut event, Course::Following)?;
            let still_waits = self.room(id).waiting.iter().any(|other| other.event_id == event.event_id);
            if !still_waits {
                self.tell(Notice::Decrypted { room_id: id.to_string(), event: Box::new(event) });
            }
        }
        Ok(())
    }
}

fn never(reason: &str) -> Unreadable {
    Unreadable { reason: reason.to_owned(), waits: false }
}

fn show(event: &mut Event, book: EventBook) {
    match book {
        EventBook::Message { event_type, content, device_id, epoch } => {
            (event.event_type, event.content) = (event_type, content);
            event.encryption = Some(EventEncryption::Decrypted { device_id, epoch });
            // Each try to send has a transaction of its own.
            if let Some(transaction) = &mut event.unsigned.transaction_id
                && let Some((first, _)) = transaction.split_once(super::TRY_MARK)
            {
                *transaction = first.to_owned();
            }
        }
        // What it was is not known any more, and need not be.
        EventBook::Redacted => event.event_type = "m.room.message".to_owned(),
        EventBook::Commit | EventBook::Unknown => {}
    }
}

/// Reads what was encrypted; `None` if it is no event of this room that may come encrypted.
fn open(plaintext: &[u8], id: &RoomId, event: &Event) -> Option<Plaintext> {
    let plaintext: Plaintext = serde_json::from_slice(plaintext).ok()?;
    let may_be = plaintext.event_type.len() <= MAX_TYPE_BYTES
        && !NEVER_ENCRYPTED.contains(&plaintext.event_type.as_str())
        && event.state_key.is_none();
    (may_be && plaintext.room_id == id.as_str()).then_some(plaintext)
}

fn is_same(pending: &Map<String, Value>, content: &CommitContent) -> bool {
    CommitContent::parse(pending).is_ok_and(|pending| pending.message == content.message)
}
