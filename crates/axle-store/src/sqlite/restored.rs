//! A store that was put back from an older copy.

use std::collections::BTreeSet;

use async_trait::async_trait;
use axle_protocol::{RoomId, ServerName};
use rusqlite::Connection;

use super::rows::{self, all};
use super::{SqliteStore, one_time_keys};
use crate::restored::RESTORED_ID_STEP;
use crate::{RestoredRooms, StoreError};

#[async_trait]
impl RestoredRooms for SqliteStore {
    async fn mark_restored(&self) -> Result<(), StoreError> {
        self.write(|tx| mark(tx.conn)).await
    }

    async fn restored_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.read(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT r.room_id FROM restored_room m CROSS JOIN room r ON r.id = m.room ORDER BY r.room_id",
            )?;
            all(&mut find, [], |row| rows::id(row, 0))
        })
        .await
    }

    async fn note_asked(&self, room_id: &RoomId, servers: &BTreeSet<ServerName>) -> Result<(), StoreError> {
        let (room_id, servers) = (room_id.clone(), servers.clone());
        self.write(move |tx| {
            forget_asked(tx.conn, &room_id)?;
            let mut note = tx.conn.prepare_cached(
                "INSERT INTO restored_asked (room, server) SELECT id, ?2 FROM room WHERE room_id = ?1",
            )?;
            for server in &servers {
                note.execute([room_id.as_str(), server.as_str()])?;
            }
            Ok(())
        })
        .await
    }

    async fn asked(&self, room_id: &RoomId) -> Result<BTreeSet<ServerName>, StoreError> {
        let room_id = room_id.clone();
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT a.server FROM room r CROSS JOIN restored_asked a ON a.room = r.id WHERE r.room_id = ?1",
            )?;
            Ok(all(&mut find, [room_id.as_str()], |row| rows::id(row, 0))?.into_iter().collect())
        })
        .await
    }

    async fn unmark_restored(&self, room_id: &RoomId) -> Result<(), StoreError> {
        let room_id = room_id.clone();
        self.write(move |tx| {
            let sql = "DELETE FROM restored_room WHERE room = (SELECT id FROM room WHERE room_id = ?1)";
            tx.conn.prepare_cached(sql)?.execute([room_id.as_str()])?;
            forget_asked(tx.conn, &room_id)
        })
        .await
    }
}

fn forget_asked(conn: &Connection, room_id: &RoomId) -> Result<(), StoreError> {
    let sql = "DELETE FROM restored_asked WHERE room = (SELECT id FROM room WHERE room_id = ?1)";
    conn.prepare_cached(sql)?.execute([room_id.as_str()])?;
    Ok(())
}

/// Makes a database an older copy: its rooms are marked, and what others have moved past is taken out.
pub(super) fn mark(conn: &Connection) -> Result<(), StoreError> {
    conn.execute("INSERT OR IGNORE INTO restored_room (room) SELECT id FROM room", [])?;
    one_time_keys::use_all(conn)?;
    conn.execute("DELETE FROM remote_device_list", [])?;
    conn.execute("UPDATE device_list_told SET told = 0, last_id = last_id + ?1, devices = ''", [RESTORED_ID_STEP])?;
    Ok(())
}
