//! What this device says of commits, to the hub: that it cannot apply one, or that it could.
//!
//! Where enough users cannot apply a commit, the hub takes it back. In large groups it does not wait for the half of them; so
//! that a few cannot have others' commits taken back there by saying so falsely, some of those who could apply it say that,
//! at once and unasked.

use axle_mls::event::CommitContent;
use axle_mls::hub::{Verdict, heeds_applied};
use axle_mls::member::Processed;
use axle_protocol::{EventId, RoomId};
use serde_json::Value;

use super::EncryptionError;
use super::books::WaitingReport;
use super::core::{Core, Result};
use super::engine::{Engine, is_definite};
use crate::Error;
use crate::client::random;

/// How many users on an average say that they could apply a commit, where the hub heeds that.
const APPLIED_REPORTS: u64 = 8;
/// Commits that this device has reported in one room, of which it remembers the ids; and reports that wait in its store.
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
        let says_so = is_voter && random() % u64::try_from(voters).unwrap_or(u64::MAX) < APPLIED_REPORTS;
        let mut reports = self.books.reports(id)?;
        let before = reports.len();
        // Of older commits they are of no use any more.
        reports.retain(|report| !report.applied);
        if says_so {
            reports.push(self.waiting_report(id, commit.epoch, content, Verdict::Applied)?);
        }
        if says_so || reports.len() != before { self.keep_reports(id, reports) } else { Ok(()) }
    }

    /// Notes that a commit, which leads to this epoch, cannot be applied.
    pub(super) fn note_not_applied(
        &mut self,
        id: &RoomId,
        event_id: &EventId,
        epoch: u64,
        content: &CommitContent,
    ) -> Result<()> {
        let room = self.room(id);
        (room.behind, room.work) = (true, true);
        if room.reported.contains(event_id) {
            return Ok(());
        }
        let surplus = (room.reported.len() + 1).saturating_sub(MAX_REPORTED);
        room.reported.drain(..surplus);
        room.reported.push(event_id.clone());
        let report = self.waiting_report(id, epoch, content, Verdict::CannotApply)?;
        let mut reports = self.books.reports(id)?;
        // Found again after a restart, it may be there already.
        if reports.contains(&report) {
            return Ok(());
        }
        reports.push(report);
        self.keep_reports(id, reports)
    }

    fn waiting_report(
        &self,
        id: &RoomId,
        epoch: u64,
        content: &CommitContent,
        verdict: Verdict,
    ) -> Result<WaitingReport> {
        let report = self.member.report(id, epoch, &content.message, verdict).to_json();
        let report = serde_json::from_str(&report).map_err(|_| EncryptionError::Answer("the own report"))?;
        Ok(WaitingReport { applied: verdict == Verdict::Applied, report })
    }

    /// Keeps what is to be told until the hub has taken it. Of too much the oldest is dropped: the hub keeps fewer epochs
    /// than that.
    fn keep_reports(&self, id: &RoomId, mut reports: Vec<WaitingReport>) -> Result<()> {
        let surplus = reports.len().saturating_sub(MAX_REPORTED);
        reports.drain(..surplus);
        self.books.keep_reports(id, &reports)
    }
}

impl Engine {
    /// Says what this device has to say of commits, in order. What cannot be told now stays, and is told later.
    pub(super) async fn send_reports(&self, id: &RoomId) -> std::result::Result<(), Error> {
        loop {
            let Some(next) = self.core().books.reports(id)?.into_iter().next() else { return Ok(()) };
            match self.server.report(id.as_str(), &Value::Object(next.report.clone())).await {
                // One that comes too late is of no use.
                Err(error) if is_definite(&error) => tracing::debug!(%error, room = %id, "a report was not taken"),
                outcome => outcome?,
            }
            // Meanwhile it may have been dropped, and others may have come.
            let core = self.core();
            let mut reports = core.books.reports(id)?;
            reports.retain(|report| *report != next);
            core.books.keep_reports(id, &reports)?;
        }
    }
}
