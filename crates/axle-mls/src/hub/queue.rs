//! The proposals that wait for the next commit.

use std::collections::BTreeSet;

use axle_protocol::UserId;
use openmls::prelude::QueuedProposal;
use serde::{Deserialize, Serialize};

use super::rules::has_to_leave;
use super::{HubGroup, Refusal, RoomView, added_users};
use crate::credential::Credential;
use crate::crypto::now;
use crate::limits::{MAX_QUEUED_PROPOSALS, MAX_QUEUED_PROPOSALS_BYTES};

/// A proposal in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Queued {
    /// The PublicMessage.
    pub message: Vec<u8>,
    pub change: Change,
    /// Public keys that it brings into the group: no two in a group are the same.
    pub keys: Vec<Vec<u8>>,
    /// The leaf that made it; `None`: the hub.
    pub by: Option<u32>,
    /// From then on it cannot be committed, in seconds since the Unix epoch.
    pub expires: Option<u64>,
}

/// What a proposal changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    /// The encoded credential of the device that is added.
    Add(Vec<u8>),
    /// The leaf that its own device updates.
    Update(u32),
    /// The leaf that is removed.
    Remove(u32),
}

/// Of the proposals that wait at a hub, what a commit has to include that is appended with the end of a user's membership: a
/// proposal to add a device of theirs is void then. The hub does not demand it, and would not take it.
pub fn without_adds_of(user: &UserId, mut queued: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    queued.retain(|message| !added_users(message).contains(user));
    queued
}

impl HubGroup {
    /// The proposals that wait, PublicMessages, in the order in which they were queued.
    pub fn queued(&self) -> Vec<Vec<u8>> {
        self.queue.iter().map(|queued| queued.message.clone()).collect()
    }

    /// Those of them that a commit on this state of the room has to include, in this order: not what has expired, or the room
    /// does not allow any more, which is refused. A commit leaves out what it makes void by itself; see also
    /// [`without_adds_of`].
    pub fn due_proposals(&self, view: &dyn RoomView) -> Vec<Vec<u8>> {
        let now = now();
        let due = self.queue.iter().filter(|queued| !self.is_forbidden(queued, now, view));
        due.map(|queued| queued.message.clone()).collect()
    }

    /// The devices that queued proposals add. A commit that includes them is bound to their users' member events.
    pub fn queued_adds(&self) -> Vec<Credential> {
        let adds = self.queue.iter().filter_map(|queued| match &queued.change {
            Change::Add(device) => Credential::decode(device).ok(),
            _ => None,
        });
        adds.collect()
    }

    /// The proposals that a commit has to include: all but those that cannot be committed any more, the committer's own
    /// Updates, of which its path takes the place, and Updates of leaves that it removes.
    pub(super) fn required(&self, committer: u32, removed: &BTreeSet<u32>, view: &dyn RoomView) -> Vec<&[u8]> {
        let now = now();
        let required = self.queue.iter().filter(|queued| match queued.change {
            Change::Update(leaf) if leaf == committer || removed.contains(&leaf) => false,
            _ => !self.is_forbidden(queued, now, view),
        });
        required.map(|queued| queued.message.as_slice()).collect()
    }

    /// Whether a proposal cannot be committed any more: it is of a device that has to leave, for one that may not join,
    /// against one that may stay again, or has expired.
    fn is_forbidden(&self, queued: &Queued, now: u64, view: &dyn RoomView) -> bool {
        queued.expires.is_some_and(|expires| expires <= now)
            || match &queued.change {
                Change::Add(device) => Credential::decode(device).is_ok_and(|device| has_to_leave(&device, view)),
                Change::Update(leaf) => self.members.get(leaf).is_some_and(|device| has_to_leave(device, view)),
                Change::Remove(leaf) => {
                    let by = queued.by.and_then(|by| self.members.get(&by)).map(|device| &device.user_id);
                    self.check_remove(*leaf, by, view).is_err()
                }
            }
    }

    pub(super) fn is_removed(&self, leaf: u32) -> bool {
        self.queue.iter().any(|queued| queued.change == Change::Remove(leaf))
    }

    /// Whether the queue with this in it could still be committed as a whole: one proposal a leaf and device, no key
    /// twice, and bounded.
    pub(super) fn check_queue(&self, queued: &Queued) -> Result<(), Refusal> {
        let conflict = self.queue.iter().any(|other| match (&other.change, &queued.change) {
            (Change::Add(other), Change::Add(device)) => is_same_device(other, device),
            (Change::Remove(other), Change::Remove(leaf) | Change::Update(leaf)) => other == leaf,
            // A newer Update takes the place of an older, and a Remove that of any.
            _ => false,
        });
        let reused = |keys: &[Vec<u8>]| keys.iter().any(|key| queued.keys.contains(key));
        if conflict || self.queue.iter().any(|other| reused(&other.keys)) {
            return Err(Refusal::ProposalConflict);
        }
        if self.group.members().any(|member| reused(&[member.encryption_key])) {
            return Err(Refusal::Invalid("a key is in the group already".into()));
        }
        let bytes: usize = self.queue.iter().map(|other| other.message.len()).sum();
        if self.queue.len() >= MAX_QUEUED_PROPOSALS || bytes + queued.message.len() > MAX_QUEUED_PROPOSALS_BYTES {
            return Err(Refusal::QueueFull);
        }
        Ok(())
    }

    /// Adds to the queue, in the place of an Update of the same leaf.
    pub(super) fn add_to_queue(&mut self, queued: Queued, proposal: QueuedProposal) -> Result<(), Refusal> {
        if let Change::Update(leaf) | Change::Remove(leaf) = queued.change {
            self.drop_queued(|other| other.change == Change::Update(leaf))?;
        }
        self.group.add_proposal(&self.storage, proposal).map_err(|error| Refusal::Invalid(error.to_string()))?;
        self.queue.push(queued);
        self.generation += 1;
        Ok(())
    }

    /// Takes proposals out of the queue that cannot be committed any more. To be called when the membership of the room
    /// or a device has changed.
    pub fn drop_forbidden(&mut self, view: &dyn RoomView) -> Result<(), Refusal> {
        let now = now();
        let forbidden = self.queue.iter().filter(|queued| self.is_forbidden(queued, now, view));
        let forbidden: BTreeSet<Vec<u8>> = forbidden.map(|queued| queued.message.clone()).collect();
        self.drop_queued(|queued| forbidden.contains(&queued.message))
    }

    /// Empties the queue: the last resort, should no member be able to commit what is in it.
    pub fn drop_queue(&mut self) -> Result<(), Refusal> {
        self.drop_queued(|_| true)
    }

    fn drop_queued(&mut self, drop: impl Fn(&Queued) -> bool) -> Result<(), Refusal> {
        if !self.queue.iter().any(&drop) {
            return Ok(());
        }
        let error = |error: super::storage::StorageError| Refusal::Invalid(error.to_string());
        let proposals = self.group.queued_proposals(&self.storage).map_err(error)?;
        let mut kept = Vec::with_capacity(self.queue.len());
        for (queued, (reference, _)) in std::mem::take(&mut self.queue).into_iter().zip(proposals) {
            if drop(&queued) {
                self.group.remove_proposal(&self.storage, &reference).map_err(error)?;
            } else {
                kept.push(queued);
            }
        }
        self.queue = kept;
        self.generation += 1;
        Ok(())
    }
}

fn is_same_device(one: &[u8], other: &[u8]) -> bool {
    match (Credential::decode(one), Credential::decode(other)) {
        (Ok(one), Ok(other)) => one.is_same_device(&other),
        _ => false,
    }
}
