//! The rooms in which the server tells its users something.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};

use crate::StoreError;

/// One room a user, at most.
#[async_trait]
pub trait NoticeRooms {
    /// The room in which this user is told.
    async fn notice_room(&self, user_id: &UserId) -> Result<Option<RoomId>, StoreError>;

    /// Makes this room the one, if there is none yet, or `instead_of` is it. Returns which it is now.
    async fn put_notice_room(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        instead_of: Option<&RoomId>,
    ) -> Result<RoomId, StoreError>;
}
