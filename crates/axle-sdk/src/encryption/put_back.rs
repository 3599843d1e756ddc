//! A store that is an older copy of itself, put back from a backup or used twice.
//!
//! Its keys for messages are those of then: what this device says next would be encrypted with keys that it has used
//! already, and nobody could read it. The log shows it: there are messages and commits of this very device that its store
//! knows nothing of. Then the device takes new keys, by a commit, before it says anything. So that it is seen in time, nothing
//! is said before the log was read up to what is known, after every start. KeyPackages that were left with the server since the
//! copy are of no use to it either, and are replaced.

use std::time::{Duration, Instant};

use axle_mls::event::CommitContent;
use axle_protocol::event::sha256;
use axle_protocol::{RoomId, base64};
use serde::{Deserialize, Serialize};

use super::books::RoomBook;
use super::core::{Core, Result};
use super::engine::Engine;
use super::{EncryptionError, Notice};
use crate::Error;
use crate::backoff::doubled;

/// How long a device stays out that another copy of it has put out of its place for the second time; then twice as long each
/// time.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// How long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Whether this device's keys in a group may be older than what it has said there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Staleness {
    /// They are not.
    #[default]
    Fresh,
    /// More was said than is read: it may have been this device.
    Unread,
    /// It was this device.
    PutBack,
}

impl RoomBook {
    /// The same, of a device that has new keys since this time, in seconds since the Unix epoch.
    pub(super) fn with_new_keys(self, now: u64) -> Self {
        Self { updated_at: now, renew_at: None, staleness: Staleness::Fresh, ..self }
    }
}

impl Core {
    /// Notes that the log has something of this device that its store has not, and tells.
    pub(super) fn note_put_back(&mut self, id: &RoomId) -> Result<()> {
        if self.note_staleness(id, Staleness::PutBack)? {
            tracing::warn!(room = %id, "the store is older than what this device has sent");
            self.note_strange_packages(true)?;
            self.tell(Notice::PutBack { room_id: id.to_string() });
        }
        Ok(())
    }

    /// Notes that there is more in the log than can be read back.
    pub(super) fn note_unread(&mut self, id: &RoomId) -> Result<()> {
        self.note_staleness(id, Staleness::Unread).map(drop)
    }

    /// Whether new keys have to be taken before anything is said.
    pub(super) fn is_stale(&self, id: &RoomId) -> Result<bool> {
        Ok(self.books.room(id)?.is_some_and(|book| book.staleness != Staleness::Fresh))
    }

    /// Whether this commit of this device was given up here, because nobody had taken it: its store is no older then.
    pub(super) fn has_given_up(&self, id: &RoomId, content: &CommitContent) -> Result<bool> {
        Ok(self.books.given_up(id)?.contains(&base64::encode(sha256(&content.message))))
    }

    /// Notes that this device was put out of its place in the group by itself: by what it did after the copy was made that its
    /// store is of, or by another copy that is in use. Two of these would drive out each other without end; so it comes in
    /// anew at once only for the first time.
    pub(super) fn note_displaced(&mut self, id: &RoomId) {
        let room = self.room(id);
        room.displaced += 1;
        let pause = (room.displaced > 1).then(|| doubled(FIRST_PAUSE, room.displaced - 2));
        room.comes_in_at = pause.map(|pause| Instant::now() + pause.min(LONGEST_PAUSE));
    }

    /// Whether this device leaves the group to another copy of itself for a while. It looks again when that is over.
    pub(super) fn gives_way(&mut self, id: &RoomId) -> bool {
        let room = self.room(id);
        let at = room.comes_in_at.filter(|at| *at > Instant::now());
        room.look_again = at.or(room.look_again);
        at.is_some()
    }

    /// Returns whether that is news.
    fn note_staleness(&mut self, id: &RoomId, staleness: Staleness) -> Result<bool> {
        let Some(book) = self.books.room(id)?.filter(|book| book.staleness < staleness) else { return Ok(false) };
        self.books.keep_room(id, &RoomBook { staleness, ..book })?;
        self.room(id).work = true;
        Ok(true)
    }
}

impl Engine {
    /// Sees to it that what is said next is encrypted with keys that were not used before. Fails if that cannot be known, or
    /// done, now.
    pub(super) async fn freshen(&self, id: &RoomId) -> std::result::Result<(), Error> {
        let is_unread = {
            let mut core = self.core();
            !core.room(id).is_read && core.books.room(id)?.is_some()
        };
        if is_unread {
            let _lock = self.lock(id).await;
            self.catch_up(id).await?;
        }
        if self.core().is_stale(id)? {
            self.tend_now(id).await?;
        }
        if self.core().is_stale(id)? { Err(EncryptionError::PutBack.into()) } else { Ok(()) }
    }
}
