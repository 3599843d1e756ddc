//! Forgotten rooms.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};
use rusqlite::{Connection, params};

use super::{SqliteStore, rows};
use crate::{ForgottenRooms, StoreError};

#[async_trait]
impl ForgottenRooms for SqliteStore {
    async fn forget_room(&self, user_id: &UserId, room_id: &RoomId) -> Result<(), StoreError> {
        let (user_id, room_id) = (user_id.clone(), room_id.clone());
        self.write(move |tx| {
            tx.conn
                .prepare_cached("INSERT OR IGNORE INTO forgotten_room (user_id, room_id) VALUES (?1, ?2)")?
                .execute([user_id.as_str(), room_id.as_str()])?;
            Ok(())
        })
        .await
    }

    async fn has_forgotten(&self, user_id: &UserId, room_id: &RoomId) -> Result<bool, StoreError> {
        let (user_id, room_id) = (user_id.clone(), room_id.clone());
        self.read(move |conn| {
            let sql = "SELECT 1 FROM forgotten_room WHERE user_id = ?1 AND room_id = ?2";
            Ok(rows::integer(conn, sql, [user_id.as_str(), room_id.as_str()])?.is_some())
        })
        .await
    }
}

/// A user is in a room again.
pub(super) fn remember(conn: &Connection, room: i64, user_id: &str) -> Result<(), StoreError> {
    conn.prepare_cached(
        "DELETE FROM forgotten_room WHERE user_id = ?1 AND room_id = (SELECT room_id FROM room WHERE id = ?2)",
    )?
    .execute(params![user_id, room])?;
    Ok(())
}
