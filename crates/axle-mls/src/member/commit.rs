//! Commits of this device.

use std::collections::BTreeSet;

use axle_protocol::{EventId, RoomId};
use openmls::ciphersuite::hash_ref::ProposalRef;
use openmls::group::{CommitMessageBundle, MlsGroup};
use openmls::messages::group_info::GroupInfo;
use openmls::prelude::{Extensions, LeafNodeIndex, ProposalOrRefType};
use openmls_traits::OpenMlsProvider as _;
use tls_codec::Serialize as _;

use super::error::invalid;
use super::{Member, MemberError, Pending, Room, config, group_id};
use crate::algorithm::CIPHERSUITE;
use crate::credential::Credential;
use crate::event::{CommitContent, RoomBinding};
use crate::hub::{HubSender, PartialGroupInfo};
use crate::key_package::{CheckedKeyPackage, capabilities};
use crate::layering::Layering;
use crate::wire::bare_message;

/// What a commit is to change.
#[derive(Debug, Clone, Default)]
pub struct CommitPlan {
    /// Devices to add, by a KeyPackage that was claimed for each.
    pub add: Vec<CheckedKeyPackage>,
    /// Devices to remove.
    pub remove: Vec<Credential>,
    /// What waits at the hub ([`crate::HubGroup::due_proposals`]; of a commit with somebody's kick,
    /// [`crate::hub::without_adds_of`] them): all of it will be in the commit, unless the commit itself makes it void.
    pub queued: Vec<Vec<u8>>,
    /// Whether this device takes new keys, also if nothing else demands it.
    pub update: bool,
    /// The room's events that the commit is made under; for [`Layering::Bound`].
    pub binding: RoomBinding,
}

/// A commit that waits for the hub.
#[derive(Debug, Clone)]
pub struct PendingCommit {
    /// The content of the event.
    pub content: CommitContent,
    /// The Welcome for all devices that it adds, to be sent when the event has its id.
    pub welcome: Option<Vec<u8>>,
}

impl Member {
    /// Establishes the group of a room that this device's user has created, with this device alone in it.
    ///
    /// With [`Layering::Bound`], `hub` is the room's hub, which may then propose removals.
    pub fn create_group(
        &mut self,
        room: &RoomId,
        layering: Layering,
        hub: Option<&HubSender>,
        binding: &RoomBinding,
    ) -> Result<PendingCommit, MemberError> {
        if self.group(room).is_ok() {
            return Err(MemberError::AlreadyMember);
        }
        let result = self.create(room, layering, hub, binding);
        self.finish(Some(room), result)
    }

    /// Makes a commit.
    pub fn commit(&mut self, room: &RoomId, plan: CommitPlan) -> Result<PendingCommit, MemberError> {
        let result = self.make_commit(room, plan);
        self.finish(Some(room), result)
    }

    /// The commit that waits is in the log: its epoch holds.
    pub fn confirm(&mut self, room: &RoomId, event_id: &EventId) -> Result<(), MemberError> {
        let result = self.confirm_pending(room, event_id);
        self.finish(Some(room), result)
    }

    /// The hub has refused the commit that waits: everything is as before it.
    pub fn discard(&mut self, room: &RoomId) -> Result<(), MemberError> {
        let mut kept = self.room(room)?;
        match kept.pending {
            Pending::Nothing => Err(MemberError::NoCommitPending),
            Pending::Group => self.forget(room),
            Pending::Commit => {
                kept.pending = Pending::Nothing;
                let result = self.clear(room, &kept);
                self.finish(Some(room), result)
            }
        }
    }

    fn create(
        &mut self,
        room: &RoomId,
        layering: Layering,
        hub: Option<&HubSender>,
        binding: &RoomBinding,
    ) -> Result<PendingCommit, MemberError> {
        let extensions: Vec<_> = hub.map(HubSender::extension).into_iter().collect();
        let config = config();
        let mut group = MlsGroup::builder()
            .with_group_id(group_id(room))
            .ciphersuite(CIPHERSUITE)
            .with_capabilities(capabilities())
            .with_group_context_extensions(Extensions::from_vec(extensions).map_err(invalid)?)
            .with_wire_format_policy(config.wire_format_policy())
            .padding_size(config.padding_size())
            .max_past_epochs(crate::limits::MAX_PAST_EPOCHS)
            .sender_ratchet_configuration(*config.sender_ratchet_configuration())
            .use_ratchet_tree_extension(false)
            .build(&self.provider, &self.key, self.key.credential().with_key())
            .map_err(invalid)?;
        bind(&mut group, layering, binding);
        let bundle = group
            .commit_builder()
            .force_self_update(true)
            .load_psks(&self.provider.0)
            .map_err(invalid)?
            .create_group_info(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.key, |_| true)
            .map_err(invalid)?
            .stage_commit(&self.provider)
            .map_err(invalid)?;
        let pending = pending_commit(&bundle, Layering::OnTop, None, Vec::new())?;
        self.groups.insert(room.clone(), group);
        let mut kept = Room::new(layering);
        kept.wait_for(Pending::Group, &pending.content.message);
        self.keep_room(room, &kept)?;
        Ok(pending)
    }

    fn make_commit(&mut self, room: &RoomId, plan: CommitPlan) -> Result<PendingCommit, MemberError> {
        let mut kept = self.room(room)?;
        if kept.pending != Pending::Nothing {
            return Err(MemberError::CommitPending);
        }
        let layering = kept.layering()?;
        let queued = self.hear_proposals(room, &plan.queued)?;
        let remove = self.leaves(room, &plan.remove)?;
        let parent = kept.commit(self.epoch(room)?);
        self.group(room)?;
        let (provider, key) = (&self.provider, &self.key);
        let group = self.groups.get_mut(room).ok_or(MemberError::NoGroup)?;
        bind(group, layering, &plan.binding);
        let bundle = group
            .commit_builder()
            .propose_adds(plan.add.into_iter().map(CheckedKeyPackage::into_openmls))
            .propose_removals(remove)
            .force_self_update(plan.update)
            .load_psks(&provider.0)
            .map_err(invalid)?
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), key, |_| true)
            .map_err(invalid)?
            .stage_commit(provider)
            .map_err(invalid)?;
        let named = named_proposals(group);
        let proposals = plan.queued.iter().zip(queued).filter(|(_, it)| named.contains(it.proposal_reference_ref()));
        let proposals = proposals.map(|(message, _)| message.clone()).collect();
        let pending = pending_commit(&bundle, layering, parent, proposals)?;
        kept.wait_for(Pending::Commit, &pending.content.message);
        self.keep_room(room, &kept)?;
        Ok(pending)
    }

    pub(super) fn confirm_pending(&mut self, room: &RoomId, event_id: &EventId) -> Result<(), MemberError> {
        let mut kept = self.room(room)?;
        if kept.pending == Pending::Nothing {
            return Err(MemberError::NoCommitPending);
        }
        let proposed = self.proposed_leaves(room)?;
        self.group(room)?;
        let group = self.groups.get_mut(room).ok_or(MemberError::NoGroup)?;
        group.merge_pending_commit(&self.provider).map_err(invalid)?;
        kept.note(group.epoch().as_u64(), event_id);
        self.forget_keys(&proposed)?;
        self.keep_room(room, &kept)
    }

    fn clear(&mut self, room: &RoomId, kept: &Room) -> Result<(), MemberError> {
        self.group(room)?;
        let group = self.groups.get_mut(room).ok_or(MemberError::NoGroup)?;
        group.clear_pending_commit(&self.provider.0)?;
        self.keep_room(room, kept)
    }

    /// The leaves of devices.
    pub(super) fn leaves(&mut self, room: &RoomId, devices: &[Credential]) -> Result<Vec<LeafNodeIndex>, MemberError> {
        let group = self.group(room)?;
        let leaf = |device: &Credential| {
            let encoded = device.encode();
            let mut members = group.members();
            members.find(|member| member.credential.serialized_content() == encoded).map(|member| member.index)
        };
        devices.iter().map(|device| leaf(device).ok_or(MemberError::NotAMember)).collect()
    }
}

/// The proposals that the commit that waits names by reference. What it makes void, openmls has left out.
fn named_proposals(group: &MlsGroup) -> BTreeSet<ProposalRef> {
    let committed = group.pending_commit().into_iter().flat_map(|commit| commit.queued_proposals());
    let named = committed.filter(|it| it.proposal_or_ref_type() == ProposalOrRefType::Reference);
    named.map(|it| it.proposal_reference_ref().clone()).collect()
}

/// Has the next message name the room's events.
pub(super) fn bind(group: &mut MlsGroup, layering: Layering, binding: &RoomBinding) {
    if layering == Layering::Bound {
        group.set_aad(binding.encode());
    }
}

pub(super) fn pending_commit(
    bundle: &CommitMessageBundle,
    layering: Layering,
    prev_commit_event_id: Option<EventId>,
    proposals: Vec<Vec<u8>>,
) -> Result<PendingCommit, MemberError> {
    let malformed = MemberError::Malformed("the commit");
    let message = bare_message(bundle.commit()).ok_or(malformed.clone())?;
    let group_info = bundle.group_info().ok_or(malformed.clone())?;
    let public_group_state = group_state(group_info, layering).ok_or(malformed.clone())?;
    let welcome = match bundle.welcome() {
        Some(welcome) => Some(welcome.tls_serialize_detached().map_err(|_| malformed)?),
        None => None,
    };
    let content = CommitContent { message, public_group_state, prev_commit_event_id, proposals };
    Ok(PendingCommit { content, welcome })
}

fn group_state(group_info: &GroupInfo, layering: Layering) -> Option<Vec<u8>> {
    match layering {
        Layering::OnTop => group_info.tls_serialize_detached().ok(),
        Layering::Bound => PartialGroupInfo::of(group_info).encode(),
    }
}
