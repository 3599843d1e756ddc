//! What the hub's rules need to know about the room and its devices.

use std::collections::BTreeSet;

use axle_protocol::{EventId, UserId};

use crate::credential::Credential;

/// The room in the state that a commit is checked on: with a member event that is appended together with the commit,
/// the state after that.
pub trait RoomView {
    /// Whether the user's membership is `join`.
    fn is_joined(&self, user: &UserId) -> bool;

    /// Whether everybody may read the room ("Calculating Event Visibility"), so that devices of anybody may be in the
    /// group.
    fn is_world_readable(&self) -> bool;

    /// What is known of the device; asked for every device in the group with every commit.
    fn device(&self, user: &UserId, device_id: &str) -> DeviceState<'_>;

    /// The auth events that an event other than a state event of this user gets, as the selection algorithm says.
    fn auth_events(&self, sender: &UserId) -> BTreeSet<EventId>;

    /// The current member event of a user.
    fn member_event(&self, user: &UserId) -> Option<EventId>;

    /// The member event that is appended together with what is checked.
    fn paired(&self) -> Option<&PairedMember> {
        None
    }
}

/// What a hub knows of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState<'a> {
    /// Its signed object, which was checked, has this credential.
    Published(&'a Credential),
    /// The device is gone, or what was published of it is not valid any more.
    Removed,
    /// Nothing is known: its server was not asked yet, or has not answered.
    Unknown,
}

/// A member event that is appended as one with a commit or proposal, or neither is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairedMember {
    /// The hash of its LPDU, or, of a user of the hub, of its unfinished form.
    pub lpdu_hash: [u8; 32],
    /// Its id, if it has one by now. What is appended with it cannot have named it by that.
    pub event_id: Option<EventId>,
    /// Whom it puts out, or who leaves by it. No device of theirs is in the group after what it is appended with, also where
    /// everybody may read the room.
    pub puts_out: Option<UserId>,
}
