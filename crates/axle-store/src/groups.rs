//! The MLS groups of encrypted rooms, as their hub follows them. States are bytes that the caller makes and reads.

use async_trait::async_trait;
use axle_protocol::{EventId, RoomId};

use crate::StoreError;

/// Epochs of one room that are kept, the newest; besides those of [`GroupEpoch::awaited`].
pub const MAX_GROUP_EPOCHS: u64 = 16;

/// The state of a group in one epoch; stored with what led to it ([`Append::groups`](crate::Append::groups)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEpoch {
    /// Which epoch. An earlier state of the same one is replaced.
    pub epoch: u64,
    /// The commit that led to it.
    pub commit: EventId,
    /// The state.
    pub state: Vec<u8>,
    /// The group has gone back: the epochs after this are forgotten.
    pub is_back: bool,
    /// Older epochs that stay as well, as far as they are kept; others are forgotten.
    pub awaited: Vec<u64>,
}

/// States of groups. That of the newest epoch comes with the room: [`RoomSnapshot::group`](crate::RoomSnapshot::group).
#[async_trait]
pub trait GroupStates {
    /// The state that a commit led to, if it is kept.
    async fn group_after(&self, room_id: &RoomId, commit: &EventId) -> Result<Option<Vec<u8>>, StoreError>;

    /// The state in an epoch, if it is kept.
    async fn group_in(&self, room_id: &RoomId, epoch: u64) -> Result<Option<Vec<u8>>, StoreError>;
}
