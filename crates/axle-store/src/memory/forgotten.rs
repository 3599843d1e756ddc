//! Forgotten rooms.

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};

use super::MemoryStore;
use super::data::Data;
use crate::{ForgottenRooms, NewEvent, StoreError};

#[async_trait]
impl ForgottenRooms for MemoryStore {
    async fn forget_room(&self, user_id: &UserId, room_id: &RoomId) -> Result<(), StoreError> {
        let entry = (user_id.to_string(), room_id.clone());
        self.write(move |data| {
            data.forgotten.insert(entry);
            Ok(())
        })
        .await
    }

    async fn has_forgotten(&self, user_id: &UserId, room_id: &RoomId) -> Result<bool, StoreError> {
        Ok(self.lock().data.forgotten.contains(&(user_id.to_string(), room_id.clone())))
    }
}

impl Data {
    /// Who joins a room has not forgotten it any more.
    pub(super) fn remember(&mut self, room_id: &RoomId, event: &NewEvent) {
        if let (true, Some(Membership::Join), Some(user)) = (event.sets_state, event.membership, &event.state_key) {
            self.forgotten.remove(&(user.clone(), room_id.clone()));
        }
    }
}
