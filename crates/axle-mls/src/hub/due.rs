//! Devices that have to leave the group, because their users have left the room or they are gone themselves.

use axle_protocol::SigningKey;
use openmls::framing::ProcessedMessageContent;
use openmls::messages::external_proposals::ExternalProposal;
use openmls::prelude::{LeafNodeIndex, SenderExtensionIndex};
use openmls_rust_crypto::OpenMlsRustCrypto;

use super::queue::{Change, Queued};
use super::rules::has_to_leave;
use super::{HubGroup, HubSender, Refusal, RoomView, incoming};
use crate::credential::Credential;
use crate::crypto::Ed25519Signer;
use crate::limits::MAX_QUEUED_PROPOSALS;
use crate::wire::bare_message;

impl HubGroup {
    /// The devices that have to be removed before any other commit is taken.
    pub fn due_removals(&self, view: &dyn RoomView) -> Vec<Credential> {
        self.members.values().filter(|member| has_to_leave(member, view)).cloned().collect()
    }

    /// Queues the removal of the devices that have to leave, so that whoever commits next has to commit that. To be
    /// called when a user has left or a device is gone. Returns how many were queued.
    ///
    /// Only in a group whose creator has named this hub as an external sender (section 12.1.8.1); in others the next
    /// commit has to remove them by itself, which is checked as strictly.
    pub fn queue_removals(&mut self, hub: &HubSender, key: &SigningKey, view: &dyn RoomView) -> Result<usize, Refusal> {
        if !hub.is_named_in(self.group.group_context().extensions()) {
            return Ok(0);
        }
        let due = self.members.iter().filter(|(leaf, member)| !self.is_removed(**leaf) && has_to_leave(member, view));
        let room_for = MAX_QUEUED_PROPOSALS.saturating_sub(self.queue.len());
        let due: Vec<u32> = due.map(|(leaf, _)| *leaf).take(room_for).collect();
        for leaf in &due {
            self.queue_removal(*leaf, key)?;
        }
        Ok(due.len())
    }

    fn queue_removal(&mut self, leaf: u32, key: &SigningKey) -> Result<(), Refusal> {
        let (group, epoch) = (self.group.group_id().clone(), self.group.group_context().epoch());
        let (removed, sender) = (LeafNodeIndex::new(leaf), SenderExtensionIndex::new(0));
        let message =
            ExternalProposal::new_remove::<OpenMlsRustCrypto>(removed, group, epoch, &Ed25519Signer(key), sender);
        let message = message.ok().as_ref().and_then(bare_message).ok_or(Refusal::Malformed("the message"))?;
        let processed = self.process(incoming::read(&message)?)?;
        let ProcessedMessageContent::ProposalMessage(proposal) = processed.into_content() else {
            return Err(Refusal::Malformed("the message"));
        };
        let queued = Queued { message, change: Change::Remove(leaf), keys: Vec::new(), by: None, expires: None };
        self.add_to_queue(queued, *proposal)
    }
}
