//! The rooms of a user.

use axle_protocol::{RoomId, UserId};
use rusqlite::{Connection, Row, params};

use super::rows;
use crate::{StoreError, UserRoom};

/// Where something happened in at most so many rooms, each of them is looked at; else each room of the user.
pub(super) const FEW_ROOMS: usize = 512;

const COLUMNS: &str = "r.room_id, c.membership, c.event_id, e.stream, e.position, r.newest_stream";

/// All of them.
pub(super) fn all_of(conn: &Connection, user_id: &UserId) -> Result<Vec<UserRoom>, StoreError> {
    newer_by_user(conn, user_id, -1)
}

/// Those with events beyond a stream position. `recent`: the rooms in which something happened since, if they are known.
pub(super) fn changed(
    conn: &Connection,
    user_id: &UserId,
    after: i64,
    recent: Option<Vec<i64>>,
) -> Result<Vec<UserRoom>, StoreError> {
    let Some(recent) = recent else { return newer_by_user(conn, user_id, after) };
    let sql = format!(
        "SELECT {COLUMNS} FROM current_state c
         CROSS JOIN room_now r ON r.id = c.room AND r.newest_stream > ?2
         CROSS JOIN event e ON e.stream = c.event
         WHERE c.room = ?3 AND c.event_type = 'm.room.member' AND c.state_key = ?1"
    );
    let mut find = conn.prepare_cached(&sql)?;
    let mut rooms = Vec::new();
    for room in recent {
        rooms.extend(rows::one(&mut find, params![user_id.as_str(), after, room], read)?);
    }
    Ok(rooms)
}

/// Of some rooms, those that the user is in.
pub(super) fn joined_among(conn: &Connection, user_id: &UserId, rooms: Vec<RoomId>) -> Result<Vec<RoomId>, StoreError> {
    let mut find = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM room r CROSS JOIN current_state c ON c.room = r.id
             AND c.event_type = 'm.room.member' AND c.state_key = ?1 AND c.membership = 'join'
         WHERE r.room_id = ?2)",
    )?;
    let mut joined = Vec::new();
    for room_id in rooms {
        if find.query_row([user_id.as_str(), room_id.as_str()], |row| row.get(0))? {
            joined.push(room_id);
        }
    }
    Ok(joined)
}

fn newer_by_user(conn: &Connection, user_id: &UserId, after: i64) -> Result<Vec<UserRoom>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM current_state c
         CROSS JOIN room_now r ON r.id = c.room AND r.newest_stream > ?2
         CROSS JOIN event e ON e.stream = c.event
         WHERE c.event_type = 'm.room.member' AND c.state_key = ?1"
    );
    rows::all(&mut conn.prepare_cached(&sql)?, params![user_id.as_str(), after], read)
}

fn read(row: &Row<'_>) -> Result<UserRoom, StoreError> {
    Ok(UserRoom {
        room_id: rows::id(row, 0)?,
        membership: rows::membership(row, 1)?
            .ok_or_else(|| super::error::damaged("a member event without a membership"))?,
        event_id: rows::id(row, 2)?,
        stream: row.get(3)?,
        position: row.get(4)?,
        room_stream: row.get(5)?,
    })
}
