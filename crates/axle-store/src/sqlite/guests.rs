//! Guests.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};
use rusqlite::params;

use super::SqliteStore;
use super::rows::{self, all};
use crate::{Guests, StoreError};

#[async_trait]
impl Guests for SqliteStore {
    async fn keep_guest(&self, user_id: &UserId, password_hash: &str) -> Result<bool, StoreError> {
        let (user_id, password_hash) = (user_id.clone(), password_hash.to_owned());
        self.write(move |tx| {
            let sql = "UPDATE user SET password_hash = ?2, guest = 0
                       WHERE user_id = ?1 AND guest = 1 AND locked = 0 AND deactivated = 0";
            tx.effects.device_users.push(user_id.clone());
            Ok(tx.conn.prepare_cached(sql)?.execute(params![user_id.as_str(), password_hash])? == 1)
        })
        .await
    }

    async fn guests_in(&self, room_id: &RoomId) -> Result<Vec<UserId>, StoreError> {
        self.read_room(room_id, |conn, _, room| {
            let mut find = conn.prepare_cached(
                "SELECT m.state_key FROM current_state m CROSS JOIN user u ON u.user_id = m.state_key
                 WHERE m.room = ?1 AND m.event_type = 'm.room.member' AND m.membership = 'join' AND u.guest = 1
                 ORDER BY m.state_key",
            )?;
            all(&mut find, [room.id], |row| rows::id(row, 0))
        })
        .await
    }

    async fn rooms_with_guests(&self) -> Result<Vec<RoomId>, StoreError> {
        self.read(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT DISTINCT r.room_id FROM user u
                 CROSS JOIN current_state m ON m.state_key = u.user_id CROSS JOIN room r ON r.id = m.room
                 WHERE u.guest = 1 AND m.event_type = 'm.room.member' AND m.membership = 'join'
                 ORDER BY r.room_id",
            )?;
            all(&mut find, [], |row| rows::id(row, 0))
        })
        .await
    }
}
