//! The states of groups.

use async_trait::async_trait;
use axle_protocol::{EventId, RoomId};
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::rows::one;
use super::writer::Tx;
use crate::{GroupEpoch, GroupStates, MAX_GROUP_EPOCHS, StoreError};

/// Stores a state, and lets go of what is void or too old by it.
pub(super) fn put(tx: &Tx<'_>, room: i64, group: &GroupEpoch) -> Result<(), StoreError> {
    let epoch = stored(group.epoch)?;
    if group.is_back {
        let sql = "DELETE FROM group_epoch WHERE room = ?1 AND epoch > ?2";
        tx.conn.prepare_cached(sql)?.execute([room, epoch])?;
    }
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO group_epoch (room, epoch, commit_event, state) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![room, epoch, group.commit.as_str(), group.state])?;
    let oldest = epoch.saturating_sub(stored(MAX_GROUP_EPOCHS)?);
    let awaited = serde_json::to_string(&group.awaited).map_err(|error| StoreError::Invalid(error.to_string()))?;
    tx.conn
        .prepare_cached(
            "DELETE FROM group_epoch
             WHERE room = ?1 AND epoch <= ?2 AND epoch NOT IN (SELECT value FROM json_each(?3))",
        )?
        .execute(params![room, oldest, awaited])?;
    Ok(())
}

/// The state of the newest epoch.
pub(super) fn newest(conn: &Connection, room: i64) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT state FROM group_epoch WHERE room = ?1 ORDER BY epoch DESC LIMIT 1";
    one(&mut conn.prepare_cached(sql)?, [room], |row| Ok(row.get(0)?))
}

#[async_trait]
impl GroupStates for SqliteStore {
    async fn group_after(&self, room_id: &RoomId, commit: &EventId) -> Result<Option<Vec<u8>>, StoreError> {
        let commit = commit.clone();
        self.read_room(room_id, move |conn, _, room| {
            let sql = "SELECT state FROM group_epoch WHERE room = ?1 AND commit_event = ?2";
            one(&mut conn.prepare_cached(sql)?, params![room.id, commit.as_str()], |row| Ok(row.get(0)?))
        })
        .await
    }

    async fn group_in(&self, room_id: &RoomId, epoch: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let epoch = stored(epoch)?;
        self.read_room(room_id, move |conn, _, room| {
            let sql = "SELECT state FROM group_epoch WHERE room = ?1 AND epoch = ?2";
            one(&mut conn.prepare_cached(sql)?, [room.id, epoch], |row| Ok(row.get(0)?))
        })
        .await
    }
}

fn stored(epoch: u64) -> Result<i64, StoreError> {
    i64::try_from(epoch).map_err(|_| StoreError::Invalid(format!("the epoch {epoch} cannot be stored")))
}
