//! The rooms in which the server tells its users something.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};

use super::MemoryStore;
use crate::{NoticeRooms, StoreError};

#[async_trait]
impl NoticeRooms for MemoryStore {
    async fn notice_room(&self, user_id: &UserId) -> Result<Option<RoomId>, StoreError> {
        Ok(self.lock().data.notice_rooms.get(user_id).cloned())
    }

    async fn put_notice_room(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        instead_of: Option<&RoomId>,
    ) -> Result<RoomId, StoreError> {
        let (user_id, room_id, instead_of) = (user_id.clone(), room_id.clone(), instead_of.cloned());
        self.write(move |data| {
            if let Some(known) = data.notice_rooms.get(&user_id)
                && Some(known) != instead_of.as_ref()
            {
                return Ok(known.clone());
            }
            data.notice_rooms.insert(user_id, room_id.clone());
            Ok(room_id)
        })
        .await
    }
}
