//! What this device says of commits, to the hub: that it cannot apply one, or that it could.
//!
//! Where enough users cannot apply a commit, the hub takes it back. In large groups it does not wait for the half of them; so
//! that a few cannot have others' commits taken back there by saying so falsely, some of those who could apply it say that,
//! at once and unasked.

use axle_mls::event::CommitContent;
use axle_mls::hub::{Verdict, heeds_applied};
use axle_mls::member::Processed;
use axle_protocol::{EventId, RoomId};

use super::EncryptionError;
use super::core::{Core, Result};
use super::engine::{Engine, is_definite};
use super::rooms::{Room, Verdicted};
use crate::Error;
use crate::client::random;

/// How many users on an average say that they could apply a commit, where the hub heeds that.
const APPLIED_REPORTS: u64 = 8;
/// Commits that this device has reported in one room, of which it keeps the ids; and reports that wait.
const MAX_REPORTED: usize = 64;

impl Core {
    /// Notes that a commit could be applied, if this device is among those who say so.
    pub(super) fn note_applied(&mut self, id: &RoomId, content: &CommitContent, commit: &Processed) -> Result<()> {
        let (own, committer) = (self.own_user(), &commit.changes.committer.user_id);
        let mut users: Vec<_> = self.member.members(id)?.into_iter().map(|device| device.user_id).collect();
        users.sort_unstable();
        users.dedup();
        let voters = users.iter().filter(|user| *user != committer).count();
        let is_voter = own != *committer && heeds_applied(voters);
        // Reports of older commits are of no use any more.
        let room = self.room(id);
        room.reports.retain(|report| report.verdict != Verdict::Applied);
        if is_voter && random() % u64::try_from(voters).unwrap_or(u64::MAX) < APPLIED_REPORTS {
            let message = content.message.clone();
            room.report(Verdicted { epoch: commit.epoch, message, verdict: Verdict::Applied });
        }
        Ok(())
    }

    /// Notes that a commit, which leads to this epoch, cannot be applied.
    pub(super) fn note_not_applied(&mut self, id: &RoomId, event_id: &EventId, epoch: u64, content: &CommitContent) {
        let room = self.room(id);
        if !room.reported.contains(event_id) {
            let surplus = (room.reported.len() + 1).saturating_sub(MAX_REPORTED);
            room.reported.drain(..surplus);
            room.reported.push(event_id.clone());
            let message = content.message.clone();
            room.report(Verdicted { epoch, message, verdict: Verdict::CannotApply });
        }
        (room.behind, room.work) = (true, true);
    }
}

impl Room {
    /// Has something told of a commit. Of too much the oldest is dropped: the hub keeps fewer epochs than that.
    fn report(&mut self, report: Verdicted) {
        if self.reports.len() >= MAX_REPORTED {
            self.reports.remove(0);
        }
        self.reports.push(report);
    }
}

impl Engine {
    /// Says what this device has to say of commits, in order. What cannot be told now stays, and is told later.
    pub(super) async fn send_reports(&self, id: &RoomId) -> std::result::Result<(), Error> {
        loop {
            let Some(next) = self.core().room(id).reports.first().cloned() else { return Ok(()) };
            let report = self.core().member.report(id, next.epoch, &next.message, next.verdict).to_json();
            let report = serde_json::from_str(&report).map_err(|_| EncryptionError::Answer("the own report"))?;
            match self.server.report(id.as_str(), &report).await {
                // One that comes too late is of no use.
                Err(error) if is_definite(&error) => tracing::debug!(%error, room = %id, "a report was not taken"),
                outcome => outcome?,
            }
            // Meanwhile it may have been dropped, and others may have come.
            self.core().room(id).reports.retain(|report| *report != next);
        }
    }
}
