//! Joining a group: by a Welcome, or by itself.

use axle_protocol::{EventId, RoomId};
use openmls::group::{MlsGroup, ProcessedWelcome, StagedWelcome};
use openmls::messages::Welcome;
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{LeafNodeParameters, RatchetTreeIn};
use openmls_traits::OpenMlsProvider as _;

use super::commit::{PendingCommit, pending_commit};
use super::error::invalid;
use super::{Member, MemberError, Pending, Room, config, group_id};
use crate::event::{RoomBinding, WelcomeContent};
use crate::key_package::capabilities;
use crate::layering::Layering;
use crate::limits::{MAX_MESSAGE_BYTES, MAX_RATCHET_TREE_BYTES};
use crate::wire::{WireFormat, bare, decode};

/// What a hub shows of a group, so that a device can join it by itself.
#[derive(Debug, Clone)]
pub struct HubState {
    /// The GroupInfo of the newest epoch.
    pub group_info: Vec<u8>,
    /// The ratchet tree of that epoch.
    pub ratchet_tree: Vec<u8>,
    /// The commit that led to it.
    pub last_commit: EventId,
}

impl Member {
    /// Joins the group of a room by a Welcome, with the ratchet tree that the hub has of the epoch of its commit. A
    /// group that this device was removed from, or has lost track of, is replaced; but a Welcome does not bring an epoch
    /// back that is over here, whoever repeats it.
    pub fn join(
        &mut self,
        room: &RoomId,
        layering: Layering,
        welcome: &WelcomeContent,
        ratchet_tree: &[u8],
    ) -> Result<(), MemberError> {
        let result = self.join_by_welcome(room, layering, welcome, ratchet_tree);
        self.finish(Some(room), result)
    }

    /// The epoch of a room's group that a Welcome leads to; nothing changes. `None` if it is not for this device, or of
    /// another group. That the group is what the Welcome says is not checked: it takes the tree to do so.
    pub fn welcome_epoch(&mut self, room: &RoomId, content: &WelcomeContent) -> Option<u64> {
        let opened = read_welcome(content)
            .and_then(|it| ProcessedWelcome::new_from_welcome(&self.provider, &config(), it).map_err(invalid));
        // The KeyPackage is not used up.
        self.provider.0.discard();
        let opened = opened.ok()?;
        let group_info = opened.unverified_group_info();
        (*group_info.group_id() == group_id(room)).then(|| group_info.epoch().as_u64())
    }

    /// Joins the group of a room by itself: a new device, or one that has lost its state or cannot apply a commit. In the
    /// latter case it takes its own place.
    pub fn join_external(
        &mut self,
        room: &RoomId,
        layering: Layering,
        hub: &HubState,
        binding: &RoomBinding,
    ) -> Result<PendingCommit, MemberError> {
        let result = self.join_by_commit(room, layering, hub, binding);
        self.finish(Some(room), result)
    }

    fn join_by_welcome(
        &mut self,
        room: &RoomId,
        layering: Layering,
        content: &WelcomeContent,
        ratchet_tree: &[u8],
    ) -> Result<(), MemberError> {
        let welcome = read_welcome(content)?;
        let tree = read_tree(ratchet_tree)?;
        let staged = StagedWelcome::build_from_welcome(&self.provider, &config(), welcome)
            .map_err(invalid)?
            .with_ratchet_tree(tree)
            .replace_old_group()
            .skip_lifetime_validation()
            .build()
            .map_err(invalid)?;
        if *staged.group_context().group_id() != group_id(room) {
            return Err(MemberError::Malformed("the Welcome"));
        }
        if self.has_reached(room, staged.group_context().epoch().as_u64()) {
            return Err(MemberError::AlreadyMember);
        }
        self.forget_group(room)?;
        let group = staged.into_group(&self.provider).map_err(invalid)?;
        let mut kept = Room::new(layering);
        kept.note(group.epoch().as_u64(), &content.commit_event_id);
        self.groups.insert(room.clone(), group);
        // Every leaf has to show a credential with its own key.
        self.members(room)?;
        self.keep_room(room, &kept)
    }

    /// Whether this device is in the group, in this epoch or a later one. A KeyPackage of last resort opens its Welcomes
    /// again and again.
    fn has_reached(&mut self, room: &RoomId, epoch: u64) -> bool {
        let counts = self.room(room).is_ok_and(|kept| kept.pending != Pending::Group);
        counts && self.group(room).is_ok_and(|group| group.is_active() && group.epoch().as_u64() >= epoch)
    }

    fn join_by_commit(
        &mut self,
        room: &RoomId,
        layering: Layering,
        hub: &HubState,
        binding: &RoomBinding,
    ) -> Result<PendingCommit, MemberError> {
        let group_info = bare(&hub.group_info, WireFormat::GroupInfo);
        let group_info: VerifiableGroupInfo = decode(group_info).ok_or(MemberError::Malformed("the GroupInfo"))?;
        if *group_info.group_id() != group_id(room) {
            return Err(MemberError::Malformed("the GroupInfo"));
        }
        self.forget_group(room)?;
        self.groups.remove(room);
        let data = if layering == Layering::Bound { binding.encode() } else { Vec::new() };
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_ratchet_tree(read_tree(&hub.ratchet_tree)?)
            .with_config(config())
            .with_aad(data)
            .skip_lifetime_validation()
            .build_group(&self.provider, group_info, self.key.credential().with_key())
            .map_err(invalid)?
            .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(capabilities()).build())
            .load_psks(&self.provider.0)
            .map_err(invalid)?
            .create_group_info(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.key, |_| true)
            .map_err(invalid)?
            .finalize(&self.provider)
            .map_err(invalid)?;
        self.groups.insert(room.clone(), group);
        self.members(room)?;
        let pending = pending_commit(&bundle, layering, Some(hub.last_commit.clone()), Vec::new())?;
        let mut kept = Room::new(layering);
        kept.wait_for(Pending::Group, &pending.content.message);
        self.keep_room(room, &kept)?;
        Ok(pending)
    }
}

fn read_welcome(content: &WelcomeContent) -> Result<Welcome, MemberError> {
    let welcome = Some(bare(&content.welcome, WireFormat::Welcome)).filter(|it| it.len() <= MAX_MESSAGE_BYTES);
    welcome.and_then(decode).ok_or(MemberError::Malformed("the Welcome"))
}

fn read_tree(bytes: &[u8]) -> Result<RatchetTreeIn, MemberError> {
    let tree = Some(bytes).filter(|bytes| bytes.len() <= MAX_RATCHET_TREE_BYTES);
    tree.and_then(decode).ok_or(MemberError::Malformed("the ratchet tree"))
}
