//! Guests.

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};

use super::MemoryStore;
use super::data::{Data, Room};
use crate::{Guests, StoreError};

#[async_trait]
impl Guests for MemoryStore {
    async fn keep_guest(&self, user_id: &UserId, password_hash: &str) -> Result<bool, StoreError> {
        let (user_id, password_hash) = (user_id.clone(), password_hash.to_owned());
        self.write(move |data| {
            let user = data.users.get_mut(&user_id);
            let user = user.filter(|user| user.standing.guest && !user.standing.locked && !user.deactivated);
            let Some(user) = user else { return Ok(false) };
            (user.password_hash, user.standing.guest) = (Some(password_hash), false);
            Ok(true)
        })
        .await
    }

    async fn guests_in(&self, room_id: &RoomId) -> Result<Vec<UserId>, StoreError> {
        let inner = self.lock();
        let data = &inner.data;
        Ok(data.rooms.get(room_id).map(|room| guests_in(data, room)).unwrap_or_default())
    }

    async fn rooms_with_guests(&self) -> Result<Vec<RoomId>, StoreError> {
        let inner = self.lock();
        let data = &inner.data;
        let rooms = data.rooms.iter().filter(|(_, room)| !guests_in(data, room).is_empty());
        Ok(rooms.map(|(room_id, _)| room_id.clone()).collect())
    }
}

fn guests_in(data: &Data, room: &Room) -> Vec<UserId> {
    let is_in = |user: &UserId| {
        let member = room.state.get(&("m.room.member".to_owned(), user.to_string()));
        member.is_some_and(|member| member.membership == Some(Membership::Join))
    };
    let guests = data.users.values().filter(|user| user.standing.guest && is_in(&user.user_id));
    guests.map(|user| user.user_id.clone()).collect()
}
