//! Guests: people who can do what guests can ("Guest Access" in Matrix's specification). [`Standing`](crate::Standing) says
//! who is one.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};

use crate::StoreError;

/// Guests of this server.
#[async_trait]
pub trait Guests {
    /// Makes a guest's account that of a full user, with this password hash; `false`: it is not that of a guest who can
    /// use it.
    async fn keep_guest(&self, user_id: &UserId, password_hash: &str) -> Result<bool, StoreError>;

    /// The guests who are in a room, by id.
    async fn guests_in(&self, room_id: &RoomId) -> Result<Vec<UserId>, StoreError>;

    /// The rooms that guests are in, by id.
    async fn rooms_with_guests(&self) -> Result<Vec<RoomId>, StoreError>;
}
