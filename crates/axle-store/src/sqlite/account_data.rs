//! What clients keep for their user.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};
use rusqlite::{Connection, Row, params};

use super::error::damaged;
use super::writer::Tx;
use super::{SqliteStore, rows};
use crate::{AccountData, Expected, MAX_ACCOUNT_DATA_PER_USER, PutAccountData, StoreError, UserData};

/// The columns that [`read`] reads.
const COLUMNS: &str = "room_id, event_type, content, stream";
/// In place of a room, for what is global.
const GLOBAL: &str = "";

#[async_trait]
impl UserData for SqliteStore {
    async fn put_account_data(
        &self,
        user_id: &UserId,
        entry: AccountData,
        expected: Expected,
    ) -> Result<PutAccountData, StoreError> {
        let user_id = user_id.clone();
        self.write(move |tx| put(tx, &user_id, &entry, expected)).await
    }

    async fn account_data(
        &self,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        event_type: &str,
    ) -> Result<Option<AccountData>, StoreError> {
        let (user_id, room_id, event_type) = (user_id.clone(), room_id.cloned(), event_type.to_owned());
        self.read(move |conn| {
            let sql =
                format!("SELECT {COLUMNS} FROM account_data WHERE user_id = ?1 AND room_id = ?2 AND event_type = ?3");
            let key = params![user_id.as_str(), room_column(room_id.as_ref()), event_type];
            rows::one(&mut conn.prepare_cached(&sql)?, key, read)
        })
        .await
    }

    async fn room_account_data(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        until: i64,
    ) -> Result<Vec<AccountData>, StoreError> {
        let (user_id, room_id) = (user_id.clone(), room_id.clone());
        self.read(move |conn| {
            // The plus keeps to the primary key: a room has few entries, a user may have many.
            let sql = format!(
                "SELECT {COLUMNS} FROM account_data WHERE user_id = ?1 AND room_id = ?2 AND +stream <= ?3
                 ORDER BY +stream"
            );
            let key = params![user_id.as_str(), room_id.as_str(), until];
            rows::all(&mut conn.prepare_cached(&sql)?, key, read)
        })
        .await
    }

    async fn account_data_changes(
        &self,
        user_id: &UserId,
        after: i64,
        until: i64,
    ) -> Result<Vec<AccountData>, StoreError> {
        if self.inner.shared.lately.nothing_for(user_id, after) {
            return Ok(Vec::new());
        }
        let user_id = user_id.clone();
        self.read(move |conn| {
            let sql = format!(
                "SELECT {COLUMNS} FROM account_data INDEXED BY account_data_in_stream
                 WHERE user_id = ?1 AND stream > ?2 AND stream <= ?3 ORDER BY stream"
            );
            rows::all(&mut conn.prepare_cached(&sql)?, params![user_id.as_str(), after, until], read)
        })
        .await
    }

    async fn has_account_data_changes(&self, user_id: &UserId, after: i64) -> Result<bool, StoreError> {
        if self.inner.shared.lately.nothing_for(user_id, after) {
            return Ok(false);
        }
        let user_id = user_id.clone();
        self.read(move |conn| {
            let sql = "SELECT EXISTS (SELECT 1 FROM account_data INDEXED BY account_data_in_stream
                 WHERE user_id = ?1 AND stream > ?2)";
            Ok(rows::integer(conn, sql, params![user_id.as_str(), after])? == Some(1))
        })
        .await
    }
}

fn put(
    tx: &mut Tx<'_>,
    user_id: &UserId,
    entry: &AccountData,
    expected: Expected,
) -> Result<PutAccountData, StoreError> {
    let room = room_column(entry.room_id.as_ref());
    let known = "SELECT stream FROM account_data WHERE user_id = ?1 AND room_id = ?2 AND event_type = ?3";
    let known = rows::integer(tx.conn, known, params![user_id.as_str(), room, entry.event_type])?;
    let as_expected = match expected {
        Expected::Anything => true,
        Expected::Nothing => known.is_none(),
        Expected::Stream(stream) => known == Some(stream),
    };
    if !as_expected {
        return Ok(PutAccountData::Unexpected);
    }
    if known.is_none() && is_full(tx.conn, user_id)? {
        return Ok(PutAccountData::Full);
    }
    let stream = tx.next_stream();
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO account_data (user_id, room_id, event_type, content, stream)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![user_id.as_str(), room, entry.event_type, entry.content, stream])?;
    // No event has this stream position; it must not be given out a second time.
    tx.conn.prepare_cached("UPDATE stream_floor SET stream = ?1")?.execute([stream])?;
    tx.effects.users.push((user_id.clone(), stream));
    Ok(PutAccountData::Stored(stream))
}

fn is_full(conn: &Connection, user_id: &UserId) -> Result<bool, StoreError> {
    let entries = rows::integer(conn, "SELECT count(*) FROM account_data WHERE user_id = ?1", [user_id.as_str()])?;
    let entries = usize::try_from(entries.unwrap_or(0)).map_err(damaged)?;
    Ok(entries >= MAX_ACCOUNT_DATA_PER_USER)
}

fn room_column(room_id: Option<&RoomId>) -> &str {
    room_id.map_or(GLOBAL, RoomId::as_str)
}

fn read(row: &Row<'_>) -> Result<AccountData, StoreError> {
    let is_global = row.get_ref(0)?.as_str().map_err(damaged)? == GLOBAL;
    Ok(AccountData {
        room_id: if is_global { None } else { Some(rows::id(row, 0)?) },
        event_type: row.get(1)?,
        content: row.get(2)?,
        stream: row.get(3)?,
    })
}
