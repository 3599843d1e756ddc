//! Invites and knocks of local users in rooms that this server is not in.

use axle_protocol::{RoomId, ServerName, UserId};
use rusqlite::{Connection, Row, params};

use super::error::damaged;
use super::rows;
use super::writer::Tx;
use crate::{OutOfRoom, StoreError};

/// Stores one; returns its stream position.
pub(super) fn put(tx: &mut Tx<'_>, entry: &OutOfRoom) -> Result<i64, StoreError> {
    let stream = tx.next_stream();
    let via = serde_json::to_string(&entry.via).map_err(|error| StoreError::Invalid(error.to_string()))?;
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO out_of_room
                 (user_id, room_id, version, membership, event_id, json, stripped_state, via, stream)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            entry.user_id.as_str(),
            entry.room_id.as_str(),
            entry.room_version.as_str(),
            entry.membership.as_str(),
            entry.event_id.as_str(),
            entry.json,
            entry.stripped_state,
            via,
            stream,
        ])?;
    // The row may be gone one day; its stream position must not be given out a second time.
    tx.conn.prepare_cached("UPDATE stream_floor SET stream = ?1")?.execute([stream])?;
    Ok(stream)
}

/// Those of a user, or the one in a room.
pub(super) fn of(conn: &Connection, user_id: &UserId, room_id: Option<&RoomId>) -> Result<Vec<OutOfRoom>, StoreError> {
    let mut find = conn.prepare_cached(
        "SELECT user_id, room_id, version, membership, event_id, json, stripped_state, via, stream FROM out_of_room
         WHERE user_id = ?1 AND room_id = coalesce(?2, room_id)",
    )?;
    rows::all(&mut find, params![user_id.as_str(), room_id.map(RoomId::as_str)], read)
}

/// Those of everybody with `after < stream <= until`, in order.
pub(super) fn in_stream(conn: &Connection, after: i64, until: i64, limit: usize) -> Result<Vec<OutOfRoom>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut find = conn.prepare_cached(
        "SELECT user_id, room_id, version, membership, event_id, json, stripped_state, via, stream FROM out_of_room
         WHERE stream > ?1 AND stream <= ?2 ORDER BY stream LIMIT ?3",
    )?;
    rows::all(&mut find, [after, until, limit], read)
}

/// Forgets one.
pub(super) fn remove(tx: &Tx<'_>, user_id: &UserId, room_id: &RoomId) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached("DELETE FROM out_of_room WHERE user_id = ?1 AND room_id = ?2")?
        .execute([user_id.as_str(), room_id.as_str()])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<OutOfRoom, StoreError> {
    let via: Vec<ServerName> = serde_json::from_str(row.get_ref(7)?.as_str().map_err(damaged)?).map_err(damaged)?;
    Ok(OutOfRoom {
        user_id: rows::id(row, 0)?,
        room_id: rows::id(row, 1)?,
        room_version: rows::version(row.get_ref(2)?.as_str().map_err(damaged)?)?,
        membership: rows::membership(row, 3)?.ok_or_else(|| damaged("an invite without a membership"))?,
        event_id: rows::id(row, 4)?,
        json: row.get(5)?,
        stripped_state: row.get(6)?,
        via,
        stream: row.get(8)?,
    })
}
