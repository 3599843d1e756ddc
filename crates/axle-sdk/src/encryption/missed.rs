//! What this device cannot read though it was in the group already, and why.

use axle_mls::event::WelcomeContent;
use axle_protocol::RoomId;
use serde::{Deserialize, Serialize};

use super::books::RoomBook;
use super::core::{Core, Result};

/// Epochs before the one in which this device has come in for good, in which it was in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Missed {
    /// The first.
    from: u64,
    why: Why,
}

/// Why their messages cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Why {
    /// The hub did not have the tree any more that the Welcome needs.
    WelcomeTooLate,
    /// Commits were missing, or could not be applied.
    LostTrack,
}

impl Why {
    fn text(self) -> &'static str {
        match self {
            Self::WelcomeTooLate => {
                "this device had been let in when it was sent, but came too late: the hub no longer has what its Welcome needs"
            }
            Self::LostTrack => {
                "this device was in the group when it was sent, but had lost track of it and came in anew"
            }
        }
    }
}

impl RoomBook {
    /// The same, of a device that comes in with this epoch, at this time in seconds since the Unix epoch.
    pub(super) fn come_in(self, epoch: u64, now: u64) -> Self {
        let missed = match (self.is_inside, self.missed) {
            (true, Some(missed)) => Some(Missed { why: Why::LostTrack, ..missed }),
            (true, None) => Some(Missed { from: self.joined_epoch, why: Why::LostTrack }),
            (false, missed) => missed,
        };
        let missed = missed.filter(|missed| missed.from < epoch);
        Self { joined_epoch: epoch, is_inside: true, missed, ..self }.with_new_keys(now)
    }

    /// The same, of a device that has been removed, or has left: what is said from now on is not for it.
    pub(super) fn go_out(self) -> Self {
        Self { is_inside: false, missed: None, ..self }
    }
}

impl Core {
    /// Why a message of this epoch is nothing that this device can read; `None` if it is in it, or was.
    pub(super) fn why_before_us(&self, id: &RoomId, epoch: u64) -> Result<Option<&'static str>> {
        let book = self.books.room(id)?.filter(|book| epoch < book.joined_epoch);
        Ok(book.map(|book| match book.missed {
            Some(missed) if epoch >= missed.from => missed.why.text(),
            _ => "it was sent before this device joined",
        }))
    }

    /// Notes a Welcome of whose epoch the hub has no tree. This device joins by itself, later than it was let in.
    pub(super) fn note_late_welcome(&mut self, id: &RoomId, welcome: &WelcomeContent) -> Result<()> {
        let Some(epoch) = self.member.welcome_epoch(id, welcome) else { return Ok(()) };
        let book = self.books.room(id)?.unwrap_or_default();
        if book.is_inside {
            return Ok(());
        }
        let from = book.missed.map_or(epoch, |missed| missed.from.min(epoch));
        self.books.keep_room(id, &RoomBook { missed: Some(Missed { from, why: Why::WelcomeTooLate }), ..book })
    }

    /// Notes that this device is not in the group any more.
    pub(super) fn note_gone(&self, id: &RoomId) -> Result<()> {
        match self.books.room(id)? {
            Some(book) => self.books.keep_room(id, &book.go_out()),
            None => Ok(()),
        }
    }
}
