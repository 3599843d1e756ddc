//! Commits of others, in the order of the log.

use axle_protocol::{EventId, RoomId};
use openmls::framing::{ProcessedMessage, ProcessedMessageContent, PublicMessageIn, Sender};
use openmls::group::{MlsGroup, ProcessMessageError, StageCommitError, StagedCommit};
use openmls::prelude::{LeafNode, LeafNodeIndex, ProtocolMessage, QueuedProposal};
use openmls_traits::storage::StorageProvider as _;

use super::error::invalid;
use super::{Member, MemberError, Pending};
use crate::credential::Credential;
use crate::event::{CommitContent, RoomBinding};
use crate::hub::Changes;
use crate::wire::{WireFormat, bare, decode};

/// What a commit has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processed {
    /// The epoch that holds now.
    pub epoch: u64,
    /// Who committed, joined and left. Devices that appear are to be compared with what their users have published.
    pub changes: Changes,
    /// The events that it was made under, to be compared with the room as this client knows it; only in
    /// [`crate::Layering::Bound`].
    pub binding: Option<RoomBinding>,
    /// Whether this device is not in the group any more. Its keys are gone then.
    pub removed: bool,
    /// Whether it is a commit of this device that did not wait here. One that gives this device new keys is
    /// [`MemberError::OwnCommit`] instead.
    pub is_unknown_own: bool,
}

impl Member {
    /// Applies a commit from the log. One of this device's own confirms it; another's takes the place of one that waits.
    ///
    /// What comes from a hub is not believed: every leaf that appears or changes has to show a credential with its own
    /// key, and stays its device's.
    pub fn process(
        &mut self,
        room: &RoomId,
        content: &CommitContent,
        event_id: &EventId,
    ) -> Result<Processed, MemberError> {
        let result = self.process_commit(room, content, event_id);
        self.finish(Some(room), result)
    }

    fn process_commit(
        &mut self,
        room: &RoomId,
        content: &CommitContent,
        event_id: &EventId,
    ) -> Result<Processed, MemberError> {
        let mut kept = self.room(room)?;
        let message = read(&content.message)?;
        let current = self.epoch(room)?;
        if kept.pending == Pending::Group && kept.waits_for(&content.message) {
            return self.joined(room, message.epoch().as_u64(), event_id);
        }
        if message.epoch().as_u64() != current {
            return Err(MemberError::WrongEpoch { current });
        }
        let proposed = self.proposed_leaves(room)?;
        self.hear_proposals(room, &content.proposals)?;
        let provider = &self.provider;
        let group = self.groups.get_mut(room).ok_or(MemberError::NoGroup)?;
        let processed =
            group.process_message(provider, ProtocolMessage::from(message)).map_err(|error| match error {
                ProcessMessageError::InvalidCommit(StageCommitError::OwnCommitMismatch) => MemberError::OwnCommit,
                error => cannot_apply(error),
            })?;
        let committer = author(&processed)?;
        let (sender, binding) = (processed.sender().clone(), RoomBinding::decode(processed.aad()));
        let (own, before) = (self.credential().clone(), self.members(room)?);
        let group = self.groups.get_mut(room).ok_or(MemberError::NoGroup)?;
        let (group_id, old_epoch, leaf) = (group.group_id().clone(), group.epoch(), group.own_leaf_index());
        let mut is_unknown_own = false;
        let (changes, removed) = match processed.into_content() {
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                let changes = changes(&commit, committer, &sender, |leaf| member_at(group, leaf))
                    .ok_or_else(|| MemberError::CannotApply("a leaf shows a credential that is not its own".into()))?;
                let removed = commit.self_removed();
                is_unknown_own = match sender {
                    Sender::Member(by) => by == leaf,
                    // In its own place.
                    _ => removed && changes.committer == own,
                };
                group.merge_staged_commit(&self.provider, *commit).map_err(invalid)?;
                (changes, removed)
            }
            ProcessedMessageContent::OwnPendingCommit => {
                group.merge_pending_commit(&self.provider).map_err(invalid)?;
                let after = self.members(room)?;
                let changes = Changes {
                    committer,
                    external: false,
                    added: missing(&after, &before),
                    removed: missing(&before, &after),
                };
                (changes, false)
            }
            _ => return Err(MemberError::Malformed("the commit")),
        };
        self.forget_keys(&proposed)?;
        let epoch = current + 1;
        if removed {
            // openmls would keep the keys of the last epoch, of no use to anybody but a thief.
            self.provider.0.delete_encryption_epoch_key_pairs(&group_id, &old_epoch, leaf.u32())?;
            self.forget_group(room)?;
            self.groups.remove(room);
        } else {
            kept.note(epoch, event_id);
            self.keep_room(room, &kept)?;
        }
        Ok(Processed { epoch, changes, binding, removed, is_unknown_own })
    }

    /// The commit with which this device has made the group or joined it is in the log.
    fn joined(&mut self, room: &RoomId, from_epoch: u64, event_id: &EventId) -> Result<Processed, MemberError> {
        self.confirm_pending(room, event_id)?;
        let (own, external) = (self.credential().clone(), from_epoch > 0);
        let changes = Changes { committer: own.clone(), external, added: vec![own], removed: Vec::new() };
        Ok(Processed { epoch: self.epoch(room)?, changes, binding: None, removed: false, is_unknown_own: false })
    }

    /// Replaces the proposals that wait here.
    pub(super) fn hear_proposals(
        &mut self,
        room: &RoomId,
        messages: &[Vec<u8>],
    ) -> Result<Vec<QueuedProposal>, MemberError> {
        self.group(room)?;
        let provider = &self.provider;
        let group = self.groups.get_mut(room).ok_or(MemberError::NoGroup)?;
        group.clear_pending_proposals(&provider.0)?;
        let mut proposals = Vec::with_capacity(messages.len());
        for bytes in messages {
            let message = ProtocolMessage::from(read(bytes)?);
            let processed = group.process_message(provider, message).map_err(cannot_apply)?;
            let ProcessedMessageContent::ProposalMessage(proposal) = processed.into_content() else {
                return Err(MemberError::Malformed("a proposal"));
            };
            group.store_pending_proposal(&provider.0, (*proposal).clone())?;
            proposals.push(*proposal);
        }
        Ok(proposals)
    }
}

/// The epoch that a commit was made in; it leads to the next one. `None` if it is none.
pub fn commit_epoch(content: &CommitContent) -> Option<u64> {
    Some(read(&content.message).ok()?.epoch().as_u64())
}

fn read(bytes: &[u8]) -> Result<PublicMessageIn, MemberError> {
    decode(bare(bytes, WireFormat::PublicMessage)).ok_or(MemberError::Malformed("the message"))
}

fn cannot_apply<E: std::fmt::Display>(error: ProcessMessageError<E>) -> MemberError
where
    ProcessMessageError<E>: std::fmt::Display,
{
    MemberError::CannotApply(error.to_string())
}

/// The device that made a message.
pub(super) fn author(processed: &ProcessedMessage) -> Result<Credential, MemberError> {
    Credential::decode(processed.credential().serialized_content()).map_err(invalid)
}

pub(super) fn member_at(group: &MlsGroup, leaf: LeafNodeIndex) -> Option<Credential> {
    credential_of(group.public_group().leaf(leaf)?)
}

pub(super) fn credential_of(leaf: &LeafNode) -> Option<Credential> {
    Credential::of_leaf(leaf.credential(), leaf.signature_key().as_slice()).ok()
}

/// What a commit changes; `None` if a leaf shows another's credential or another key than its own.
fn changes(
    commit: &StagedCommit,
    committer: Credential,
    sender: &Sender,
    member: impl Fn(LeafNodeIndex) -> Option<Credential>,
) -> Option<Changes> {
    let external = matches!(sender, Sender::NewMemberCommit);
    let stays = |leaf: &LeafNode, before: &Credential| credential_of(leaf).is_some_and(|it| it.is_same_device(before));
    if commit.update_path_leaf_node().is_some_and(|leaf| !stays(leaf, &committer)) {
        return None;
    }
    for update in commit.update_proposals() {
        let Sender::Member(leaf) = update.sender() else { return None };
        if !stays(update.update_proposal().leaf_node(), &member(*leaf)?) {
            return None;
        }
    }
    let added = commit.add_proposals().map(|add| credential_of(add.add_proposal().key_package().leaf_node()));
    let added = added.chain(external.then(|| Some(committer.clone()))).collect::<Option<_>>()?;
    let removed = commit.remove_proposals().map(|remove| member(remove.remove_proposal().removed()));
    Some(Changes { committer, external, added, removed: removed.collect::<Option<_>>()? })
}

fn missing(from: &[Credential], than: &[Credential]) -> Vec<Credential> {
    from.iter().filter(|device| !than.contains(device)).cloned().collect()
}
