//! Rooms that users who left them do not want to know of any more.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};

use crate::StoreError;

/// Forgotten rooms.
#[async_trait]
pub trait ForgottenRooms {
    /// Remembers that a user has forgotten a room. An append by which they join it again ends that.
    async fn forget_room(&self, user_id: &UserId, room_id: &RoomId) -> Result<(), StoreError>;

    /// Whether they have.
    async fn has_forgotten(&self, user_id: &UserId, room_id: &RoomId) -> Result<bool, StoreError>;
}
