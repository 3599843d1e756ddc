//! A store that was put back from an older copy.

use std::collections::BTreeSet;

use async_trait::async_trait;
use axle_protocol::{RoomId, ServerName};

use crate::StoreError;

/// By how much the ids of updates of device lists go on in a copy: by more than there can have been updates since.
pub(crate) const RESTORED_ID_STEP: i64 = 1_000_000;

/// Rooms of which other servers may know more than this store, because it was put back from a copy of an earlier time. What
/// [`Operator::backup`](crate::Operator::backup) makes has all of its rooms marked so.
#[async_trait]
pub trait RestoredRooms {
    /// Marks every room: this store is a copy that was made otherwise. What would be wrong by now goes out of it: one-time keys,
    /// which may have been given out since (fallback keys count as used), and the devices of other servers' users; and other
    /// servers are to be told anew of the devices of its own, which may not be those that they know.
    async fn mark_restored(&self) -> Result<(), StoreError>;

    /// The marked rooms, by id.
    async fn restored_rooms(&self) -> Result<Vec<RoomId>, StoreError>;

    /// Says which servers are being asked what they know of a room, in the place of those that were said before. By the part
    /// that one of them has told it may be out of the room and have come back since: it has to be asked again after a crash.
    async fn note_asked(&self, room_id: &RoomId, servers: &BTreeSet<ServerName>) -> Result<(), StoreError>;

    /// The servers that were said last.
    async fn asked(&self, room_id: &RoomId) -> Result<BTreeSet<ServerName>, StoreError>;

    /// Takes the mark from a room: what it lacks has been fetched, or is not to be had. Nobody is being asked about
    /// it then.
    async fn unmark_restored(&self, room_id: &RoomId) -> Result<(), StoreError>;
}
