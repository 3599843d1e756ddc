//! The rooms in which the server tells its users something.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};
use rusqlite::{Connection, params};

use super::{SqliteStore, rows};
use crate::{NoticeRooms, StoreError};

#[async_trait]
impl NoticeRooms for SqliteStore {
    async fn notice_room(&self, user_id: &UserId) -> Result<Option<RoomId>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| find(conn, &user_id)).await
    }

    async fn put_notice_room(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        instead_of: Option<&RoomId>,
    ) -> Result<RoomId, StoreError> {
        let (user_id, room_id, instead_of) = (user_id.clone(), room_id.clone(), instead_of.cloned());
        self.write(move |tx| {
            if let Some(known) = find(tx.conn, &user_id)?
                && Some(&known) != instead_of.as_ref()
            {
                return Ok(known);
            }
            tx.conn
                .prepare_cached("INSERT OR REPLACE INTO notice_room (user_id, room_id) VALUES (?1, ?2)")?
                .execute(params![user_id.as_str(), room_id.as_str()])?;
            Ok(room_id.clone())
        })
        .await
    }
}

fn find(conn: &Connection, user_id: &UserId) -> Result<Option<RoomId>, StoreError> {
    let mut find = conn.prepare_cached("SELECT room_id FROM notice_room WHERE user_id = ?1")?;
    rows::one(&mut find, [user_id.as_str()], |row| rows::id(row, 0))
}
