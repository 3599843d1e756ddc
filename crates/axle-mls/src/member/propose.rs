//! Proposals of this device, for the hub's queue ([`crate::Layering::Bound`]).

use axle_protocol::RoomId;
use openmls::framing::MlsMessageOut;
use openmls::group::MlsGroup;
use openmls::prelude::LeafNodeParameters;

use super::commit::bind;
use super::error::invalid;
use super::provider::Provider;
use super::{Member, MemberError, Pending};
use crate::credential::Credential;
use crate::device::DeviceKey;
use crate::event::{ProposalContent, RoomBinding};
use crate::key_package::CheckedKeyPackage;
use crate::wire::bare_message;

impl Member {
    /// Proposes to add a device.
    pub fn propose_add(
        &mut self,
        room: &RoomId,
        device: CheckedKeyPackage,
        binding: &RoomBinding,
    ) -> Result<ProposalContent, MemberError> {
        self.propose(room, binding, |group, provider, key| {
            group.propose_add_member(provider, key, &device.into_openmls()).map(|(message, _)| message).map_err(invalid)
        })
    }

    /// Proposes to remove a device.
    pub fn propose_remove(
        &mut self,
        room: &RoomId,
        device: &Credential,
        binding: &RoomBinding,
    ) -> Result<ProposalContent, MemberError> {
        let leaf = self.leaves(room, std::slice::from_ref(device))?;
        self.propose(room, binding, |group, provider, key| {
            let leaf = leaf.first().copied().ok_or(MemberError::NotAMember)?;
            group.propose_remove_member(provider, key, leaf).map(|(message, _)| message).map_err(invalid)
        })
    }

    /// Proposes new keys for this device.
    pub fn propose_update(&mut self, room: &RoomId, binding: &RoomBinding) -> Result<ProposalContent, MemberError> {
        self.propose(room, binding, |group, provider, key| {
            let same = LeafNodeParameters::default();
            group.propose_self_update(provider, key, same).map(|(message, _)| message).map_err(invalid)
        })
    }

    /// Says that this device leaves; to be sent with its user's leave, which `binding` names.
    pub fn leave(&mut self, room: &RoomId, binding: &RoomBinding) -> Result<ProposalContent, MemberError> {
        self.propose(room, binding, |group, provider, key| group.leave_group(provider, key).map_err(invalid))
    }

    fn propose(
        &mut self,
        room: &RoomId,
        binding: &RoomBinding,
        make: impl FnOnce(&mut MlsGroup, &Provider, &DeviceKey) -> Result<MlsMessageOut, MemberError>,
    ) -> Result<ProposalContent, MemberError> {
        let kept = self.room(room)?;
        if kept.pending != Pending::Nothing {
            return Err(MemberError::CommitPending);
        }
        let layering = kept.layering()?;
        self.group(room)?;
        let group = self.groups.get_mut(room).ok_or(MemberError::NoGroup)?;
        bind(group, layering, binding);
        let made = make(group, &self.provider, &self.key);
        let message = made.and_then(|message| bare_message(&message).ok_or(MemberError::Malformed("the proposal")));
        self.finish(Some(room), message.map(|message| ProposalContent { message }))
    }
}
