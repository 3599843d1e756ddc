//! How far the users of a room have read.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};
use rusqlite::{Connection, Row, params};

use super::error::damaged;
use super::lately::Lately;
use super::user_rooms::FEW_ROOMS;
use super::writer::Tx;
use super::{SqliteStore, rows};
use crate::{Receipt, ReceiptType, Receipts, RoomReceipts, StoreError};

/// The columns that [`read`] reads.
const COLUMNS: &str = "user_id, type, thread, event_id, position, ts, stream";
/// In place of a thread, for what is for the whole room.
const UNTHREADED: &str = "";

#[async_trait]
impl Receipts for SqliteStore {
    async fn put_receipt(&self, room_id: &RoomId, receipt: Receipt) -> Result<Option<i64>, StoreError> {
        let room_id = room_id.clone();
        self.write(move |tx| put(tx, &room_id, &receipt)).await
    }

    async fn receipts(
        &self,
        room_id: &RoomId,
        reader: &UserId,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<RoomReceipts, StoreError> {
        let (reader, shared) = (reader.clone(), self.inner.shared.clone());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read_room(room_id, move |conn, _, room| {
            let sql = format!(
                "SELECT {COLUMNS} FROM receipt WHERE room = ?1 AND user_id = ?2 AND +stream <= ?3 ORDER BY +stream"
            );
            let own = rows::all(&mut conn.prepare_cached(&sql)?, params![room.id, reader.as_str(), until], read)?;
            if limit == 0 || shared.lately.no_receipts(room.id, after) {
                return Ok(RoomReceipts { own, others: Vec::new() });
            }
            let sql = format!(
                "SELECT {COLUMNS} FROM receipt INDEXED BY receipt_by_room
                 WHERE room = ?1 AND stream > ?2 AND stream <= ?3 AND type = 0 AND user_id <> ?4
                 ORDER BY stream DESC LIMIT ?5"
            );
            let others = params![room.id, after, until, reader.as_str(), limit];
            let mut others = rows::all(&mut conn.prepare_cached(&sql)?, others, read)?;
            others.reverse();
            Ok(RoomReceipts { own, others })
        })
        .await
    }

    async fn has_receipts(&self, room_id: &RoomId, after: i64) -> Result<bool, StoreError> {
        let nothing = |lately: &Lately, room| lately.no_receipts(room, after);
        self.read_room_unless(nothing, room_id, move |conn, _, room| {
            let sql =
                "SELECT EXISTS (SELECT 1 FROM receipt INDEXED BY receipt_by_room WHERE room = ?1 AND stream > ?2)";
            Ok(rows::integer(conn, sql, [room.id, after])? == Some(1))
        })
        .await
    }

    async fn rooms_with_receipts(&self, user_id: &UserId, after: i64, until: i64) -> Result<Vec<RoomId>, StoreError> {
        let user_id = user_id.clone();
        let recent = self.inner.shared.lately.rooms_with_receipts_after(after, FEW_ROOMS);
        self.read(move |conn| rooms_with(conn, &user_id, after, until, recent)).await
    }
}

fn put(tx: &mut Tx<'_>, room_id: &RoomId, receipt: &Receipt) -> Result<Option<i64>, StoreError> {
    let Some(room) = rows::room(tx.conn, room_id)? else { return Ok(None) };
    let user = receipt.user_id.as_str();
    let kind = code(receipt.receipt_type);
    let thread = receipt.thread.as_deref().unwrap_or(UNTHREADED);
    let known = "SELECT position FROM receipt WHERE room = ?1 AND user_id = ?2 AND type = ?3 AND thread = ?4";
    let known = rows::integer(tx.conn, known, params![room.id, user, kind, thread])?;
    if known.is_some_and(|known| known >= receipt.position) {
        return Ok(None);
    }
    let stream = tx.next_stream();
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO receipt (room, user_id, type, thread, event_id, position, ts, stream)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            room.id,
            user,
            kind,
            thread,
            receipt.event_id.as_str(),
            receipt.position,
            receipt.ts,
            stream
        ])?;
    tx.effects.receipts.push((room.id, stream));
    // No event has this stream position; it must not be given out a second time.
    tx.conn.prepare_cached("UPDATE stream_floor SET stream = ?1")?.execute([stream])?;
    Ok(Some(stream))
}

/// Those of the user's rooms in which somebody read lately. `recent`: the rooms in which somebody did, if they are known.
fn rooms_with(
    conn: &Connection,
    user_id: &UserId,
    after: i64,
    until: i64,
    recent: Option<Vec<i64>>,
) -> Result<Vec<RoomId>, StoreError> {
    let of_user = "SELECT r.room_id FROM current_state c CROSS JOIN room r ON r.id = c.room
         WHERE c.event_type = 'm.room.member' AND c.state_key = ?1 AND c.membership = 'join' AND EXISTS
             (SELECT 1 FROM receipt p INDEXED BY receipt_by_room
              WHERE p.room = c.room AND p.stream > ?2 AND p.stream <= ?3 AND (p.type = 0 OR p.user_id = ?1))";
    let Some(recent) = recent else {
        let mut find = conn.prepare_cached(of_user)?;
        return rows::all(&mut find, params![user_id.as_str(), after, until], |row| rows::id(row, 0));
    };
    let mut find = conn.prepare_cached(&format!("{of_user} AND c.room = ?4"))?;
    let mut rooms = Vec::new();
    for room in recent {
        rooms.extend(rows::one(&mut find, params![user_id.as_str(), after, until, room], |row| rows::id(row, 0))?);
    }
    Ok(rooms)
}

/// Public ones of all rooms with `after < stream <= until`, in order.
pub(super) fn in_stream(
    conn: &Connection,
    after: i64,
    until: i64,
    limit: usize,
) -> Result<Vec<(RoomId, Receipt)>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = "SELECT p.user_id, p.type, p.thread, p.event_id, p.position, p.ts, p.stream, r.room_id
         FROM receipt p INDEXED BY receipt_in_stream CROSS JOIN room r ON r.id = p.room
         WHERE p.stream > ?1 AND p.stream <= ?2 AND p.type = 0 ORDER BY p.stream LIMIT ?3";
    rows::all(&mut conn.prepare_cached(sql)?, [after, until, limit], |row| Ok((rows::id(row, 7)?, read(row)?)))
}

fn read(row: &Row<'_>) -> Result<Receipt, StoreError> {
    let thread: String = row.get(2)?;
    Ok(Receipt {
        user_id: rows::id(row, 0)?,
        receipt_type: receipt_type(row.get(1)?)?,
        thread: (thread != UNTHREADED).then_some(thread),
        event_id: rows::id(row, 3)?,
        position: row.get(4)?,
        ts: row.get(5)?,
        stream: row.get(6)?,
    })
}

fn code(receipt_type: ReceiptType) -> i64 {
    match receipt_type {
        ReceiptType::Read => 0,
        ReceiptType::ReadPrivate => 1,
    }
}

fn receipt_type(code: i64) -> Result<ReceiptType, StoreError> {
    match code {
        0 => Ok(ReceiptType::Read),
        1 => Ok(ReceiptType::ReadPrivate),
        _ => Err(damaged(format!("receipt type {code} is unknown"))),
    }
}
