//! What reaches the group without an event: proposals that wait for a commit, and reports on commits.

use axle_mls::event::ProposalContent;
use axle_mls::hub::{self, Report};
use axle_protocol::UserId;

use super::View;
use crate::room::change::{Change, Refusal};
use crate::room::known::Known;
use crate::room::{Identity, Room};

/// What became of a report.
#[derive(Debug, Clone)]
pub enum Reported {
    /// It is kept.
    Kept(Change),
    /// The group has to go back to this epoch: hand the report in again, with the state that was stored for it.
    NeedsEpoch(u64),
    /// The group has gone back to this epoch.
    RolledBack(u64, Change),
}

impl Room {
    /// Queues a proposal for the next commit. `sender` is the user who handed it in.
    pub fn propose(&mut self, sender: &UserId, content: &ProposalContent, known: &Known) -> Result<Change, Refusal> {
        self.check_hub()?;
        let view = View { state: &self.state, devices: &known.devices, paired: None };
        let group = self.group.as_deref_mut().ok_or(hub::Refusal::NoGroup)?;
        let checked = group.check_proposal(content, sender, &view)?;
        group.queue(checked)?;
        let mut change = self.change();
        self.note_group(&mut change, false)?;
        Ok(change)
    }

    /// Takes a member's report on a commit. `before` is the state of the epoch that [`Reported::NeedsEpoch`] named.
    pub fn report(
        &mut self,
        me: &Identity,
        report: Report,
        before: Option<&[u8]>,
        known: &Known,
    ) -> Result<Reported, Refusal> {
        self.check_hub()?;
        let view = View { state: &self.state, devices: &known.devices, paired: None };
        let group = self.group.as_deref_mut().ok_or(hub::Refusal::NoGroup)?;
        let Some(roll_back) = group.report(report, &view)? else {
            let mut change = self.change();
            self.note_group(&mut change, false)?;
            return Ok(Reported::Kept(change));
        };
        let Some(before) = before else { return Ok(Reported::NeedsEpoch(roll_back.to_epoch)) };
        let back = group.roll_back(&roll_back, before).map_err(|error| hub::Refusal::Invalid(error.to_string()))?;
        *group = back;
        let mut change = self.change();
        // Who has left since then.
        self.follow_membership(me, known, &mut change)?;
        self.note_group(&mut change, true)?;
        Ok(Reported::RolledBack(roll_back.to_epoch, change))
    }
}
