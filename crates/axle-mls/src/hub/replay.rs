//! Commits that this hub has let into the log and does not remember: it was restored from a backup, and got its own log back
//! from another server.

use axle_protocol::EventId;
use openmls::framing::{ContentType, ProcessedMessageContent};
use openmls::prelude::Proposal;

use super::commit::{After, Merged, Read};
use super::report::{CommitRecord, RollBack};
use super::rules::{credential_of, has_to_leave};
use super::{HubGroup, Refusal, RoomView, StateError};
use crate::event::CommitContent;

impl HubGroup {
    /// Applies a commit of this hub's own log, `event_id`. What RFC 9420 demands is checked again, and that it leads where its
    /// event says. Whether the room allowed it is not: that was checked before it got into the log, with devices that were
    /// published then. What waits in the queue is dropped: the commit brings what it took out of it.
    ///
    /// After an error the group must not be used any more.
    pub fn replay(
        &mut self,
        content: &CommitContent,
        view: &dyn RoomView,
        event_id: EventId,
    ) -> Result<Merged, Refusal> {
        self.drop_queue()?;
        for message in &content.proposals {
            let incoming = self.incoming(message, ContentType::Proposal)?;
            let ProcessedMessageContent::ProposalMessage(proposal) = self.process(incoming.message)?.into_content()
            else {
                return Err(Refusal::Malformed("the message"));
            };
            let added = self.group.add_proposal(&self.storage, *proposal);
            added.map_err(|error| Refusal::Invalid(error.to_string()))?;
        }
        let read = self.read_commit(content)?;
        let after = self.after(&read, view)?;
        let Read { commit, committer, tag, .. } = read;
        let staged = self.stage(content, commit, &committer, &tag, after)?;
        self.merge(staged, event_id)
    }

    /// Goes back to the state in an epoch, `snapshot`, that a commit of this hub's own log was made in: the hub had let it in
    /// after it had taken back what came in its place. Who had made that is in quarantine again.
    pub fn replay_back(&self, epoch: u64, snapshot: &[u8]) -> Result<Self, StateError> {
        let void = self.commits.iter().find(|commit| commit.epoch == epoch.saturating_add(1));
        let committer = void.and_then(CommitRecord::committer).ok_or(StateError::WrongState)?;
        self.roll_back(&RollBack { to_epoch: epoch, committer }, snapshot)
    }

    /// What a commit changes.
    fn after(&self, read: &Read, view: &dyn RoomView) -> Result<After, Refusal> {
        let mut after = After::new(&read.committer);
        for queued in read.commit.queued_proposals() {
            match queued.proposal() {
                Proposal::Add(add) => after.changes.added.push(credential_of(add.key_package().leaf_node())?),
                Proposal::Remove(remove) => {
                    let leaf = remove.removed().u32();
                    after.changes.removed.push(self.member(leaf)?.clone());
                    after.removed.insert(leaf);
                }
                _ => {}
            }
        }
        if read.committer.external {
            after.changes.added.push(read.committer.device.clone());
            let mut staying = self.members.iter().filter(|(leaf, _)| !after.removed.contains(leaf));
            after.abandoned = staying.any(|(_, device)| has_to_leave(device, view));
        }
        Ok(after)
    }
}
