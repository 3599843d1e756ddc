//! Which devices the room allows in its group ("Updating Group State").

use axle_protocol::UserId;
use openmls::prelude::{KeyPackage, LeafNode, Proposal};

use super::{DeviceState, HubGroup, Refusal, RoomView};
use crate::algorithm::CIPHERSUITE;
use crate::credential::Credential;
use crate::key_package::is_capable;
use crate::limits::MAX_KEY_PACKAGE_LIFETIME_SECONDS;

/// Checks that a device may be in the group: its user is joined, unless everybody may read the room, and it has published
/// this credential.
pub(super) fn check_device(device: &Credential, view: &dyn RoomView) -> Result<(), Refusal> {
    check_user(&device.user_id, view)?;
    match view.device(&device.user_id, &device.device_id) {
        DeviceState::Published(published) if published == device => Ok(()),
        DeviceState::Unknown => Err(Refusal::DeviceUnknown(Box::new(device.clone()))),
        DeviceState::Published(_) | DeviceState::Removed => Err(Refusal::DeviceInvalid(Box::new(device.clone()))),
    }
}

fn check_user(user: &UserId, view: &dyn RoomView) -> Result<(), Refusal> {
    let is_put_out = view.paired().is_some_and(|paired| paired.puts_out.as_ref() == Some(user));
    if !is_put_out && (view.is_joined(user) || view.is_world_readable()) {
        Ok(())
    } else {
        Err(Refusal::NotJoined(user.clone()))
    }
}

/// Whether a device that is in the group has to leave it. Of a device that nothing is known of, that cannot be said.
pub(super) fn has_to_leave(device: &Credential, view: &dyn RoomView) -> bool {
    match check_device(device, view) {
        Ok(()) | Err(Refusal::DeviceUnknown(_)) => false,
        Err(_) => true,
    }
}

/// The credential that a leaf shows.
pub(super) fn credential_of(leaf: &LeafNode) -> Result<Credential, Refusal> {
    Credential::of_leaf(leaf.credential(), leaf.signature_key().as_slice()).map_err(|_| Refusal::Credential)
}

/// What a leaf shows that takes the place of another of the same device: the key may change, if it is published.
pub(super) fn check_replaced(leaf: &LeafNode, before: &Credential, view: &dyn RoomView) -> Result<Credential, Refusal> {
    let after = credential_of(leaf)?;
    if !after.is_same_device(before) {
        return Err(Refusal::Credential);
    }
    if after != *before {
        check_device(&after, view)?;
    }
    if is_capable(leaf) { Ok(after) } else { Err(Refusal::Capabilities) }
}

impl HubGroup {
    /// Whether the device may not change the group. Another key does not make it another device.
    pub(super) fn is_quarantined(&self, device: &Credential) -> bool {
        self.quarantine.iter().any(|other| other.is_same_device(device))
    }

    /// Checks an Add: the device may be in the group, can do what it needs, and is not in it yet.
    pub(super) fn check_add(
        &self,
        key_package: &KeyPackage,
        stays: impl Fn(u32) -> bool,
        view: &dyn RoomView,
    ) -> Result<Credential, Refusal> {
        if key_package.ciphersuite() != CIPHERSUITE {
            return Err(Refusal::Ciphersuite);
        }
        let leaf = key_package.leaf_node();
        let device = credential_of(leaf)?;
        check_device(&device, view)?;
        if !is_capable(leaf) {
            return Err(Refusal::Capabilities);
        }
        let lifetime = key_package.life_time();
        if lifetime.not_after().saturating_sub(lifetime.not_before()) > MAX_KEY_PACKAGE_LIFETIME_SECONDS {
            return Err(Refusal::Invalid("the lifetime is too long".into()));
        }
        if self.is_quarantined(&device) {
            return Err(Refusal::Quarantined);
        }
        match self.members.iter().find(|(leaf, member)| member.is_same_device(&device) && stays(**leaf)) {
            Some(_) => Err(Refusal::AlreadyMember(Box::new(device))),
            None => Ok(device),
        }
    }

    /// Checks a Remove by a user (`None`: the hub itself): of a device of the same user, or of one that has to leave.
    pub(super) fn check_remove(
        &self,
        leaf: u32,
        by: Option<&UserId>,
        view: &dyn RoomView,
    ) -> Result<&Credential, Refusal> {
        let device = self.member(leaf)?;
        if by == Some(&device.user_id) || has_to_leave(device, view) || self.is_quarantined(device) {
            Ok(device)
        } else {
            Err(Refusal::RemovalNotAllowed(Box::new(device.clone())))
        }
    }
}

/// Whether proposals of this type may be in a room's commits at all. The others change what the room's create event
/// fixes, or need secrets from outside.
pub(super) fn is_allowed(proposal: &Proposal, external: bool) -> bool {
    match proposal {
        Proposal::Add(_) | Proposal::Update(_) => !external,
        Proposal::Remove(_) => true,
        Proposal::ExternalInit(_) => external,
        _ => false,
    }
}
