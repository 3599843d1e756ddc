//! How values are written in columns.

use axle_protocol::auth::Membership;
use axle_protocol::event::Hash;
use axle_protocol::id::IdError;
use axle_protocol::{EventId, RoomId, RoomVersion};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Params, Row};

use super::error::damaged;
use crate::{EventStatus, StoreError, StoredEvent};

/// The columns that [`event`] reads, of `event` as `e`.
pub(super) const EVENT_COLUMNS: &str = "e.stream, e.position, e.status, e.event_id, e.redacted_by, e.json";

/// What is needed of a room to read its rows. Neither ever changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) id: i64,
    pub(super) version: RoomVersion,
}

/// Looks a room up.
pub(super) fn room(conn: &Connection, room_id: &RoomId) -> Result<Option<Room>, StoreError> {
    let mut find = conn.prepare_cached("SELECT id, version FROM room WHERE room_id = ?1")?;
    one(&mut find, [room_id.as_str()], |row| {
        Ok(Room { id: row.get(0)?, version: version(row.get_ref(1)?.as_str().map_err(damaged)?)? })
    })
}

/// A room as it is now, from `room_now`.
#[derive(Debug, Clone)]
pub(super) struct RoomRow {
    pub(super) id: i64,
    pub(super) version: RoomVersion,
    pub(super) head: Option<i64>,
    pub(super) newest_stream: i64,
    pub(super) state_id: Option<i64>,
    pub(super) events: i64,
}

/// Looks up all of it.
pub(super) fn room_now(conn: &Connection, room_id: &RoomId) -> Result<Option<RoomRow>, StoreError> {
    let mut find = conn
        .prepare_cached("SELECT id, version, head, newest_stream, state_id, events FROM room_now WHERE room_id = ?1")?;
    one(&mut find, [room_id.as_str()], |row| {
        Ok(RoomRow {
            id: row.get(0)?,
            version: version(row.get_ref(1)?.as_str().map_err(damaged)?)?,
            head: row.get(2)?,
            newest_stream: row.get(3)?,
            state_id: row.get(4)?,
            events: row.get(5)?,
        })
    })
}

/// An event of a known room from [`EVENT_COLUMNS`].
pub(super) fn event(row: &Row<'_>, room_id: &RoomId, room_version: RoomVersion) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        room_id: room_id.clone(),
        room_version,
        stream: row.get(0)?,
        position: row.get(1)?,
        status: status(row.get(2)?)?,
        event_id: id(row, 3)?,
        redacted_by: optional_id(row, 4)?,
        json: row.get(5)?,
    })
}

/// The first row, if there is one.
pub(super) fn one<T>(
    statement: &mut CachedStatement<'_>,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// Every row.
pub(super) fn all<T>(
    statement: &mut CachedStatement<'_>,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// A single integer.
pub(super) fn integer(conn: &Connection, sql: &str, params: impl Params) -> Result<Option<i64>, StoreError> {
    Ok(conn.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()?.flatten())
}

/// A number of things in a column.
pub(super) fn count(row: &Row<'_>, column: usize) -> Result<u64, StoreError> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(damaged)
}

/// An identifier in a column.
pub(super) fn id<T: std::str::FromStr<Err = IdError>>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    row.get_ref(column)?.as_str().map_err(damaged)?.parse().map_err(damaged)
}

fn optional_id(row: &Row<'_>, column: usize) -> Result<Option<EventId>, StoreError> {
    row.get_ref(column)?.as_str_or_null().map_err(damaged)?.map(|text| text.parse().map_err(damaged)).transpose()
}

/// A hash in a column.
pub(super) fn hash(row: &Row<'_>, column: usize) -> Result<Hash, StoreError> {
    row.get_ref(column)?.as_blob().map_err(damaged)?.try_into().map_err(damaged)
}

/// A room version as stored.
pub(super) fn version(text: &str) -> Result<RoomVersion, StoreError> {
    RoomVersion::parse(text).ok_or_else(|| damaged(format!("room version {text} is unknown")))
}

/// A membership as stored.
pub(super) fn membership(row: &Row<'_>, column: usize) -> Result<Option<Membership>, StoreError> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(damaged)?;
    text.map(|text| Membership::parse(text).ok_or_else(|| damaged(format!("membership {text} is unknown")))).transpose()
}

/// A status as stored. Those that other servers get come first: the index for delivery relies on it.
pub(super) fn status_code(status: EventStatus) -> i64 {
    match status {
        EventStatus::Accepted => 0,
        EventStatus::SoftFailed => 1,
        EventStatus::Rejected => 2,
        EventStatus::Outlier => 3,
        EventStatus::Waiting => 4,
    }
}

fn status(code: i64) -> Result<EventStatus, StoreError> {
    Ok(match code {
        0 => EventStatus::Accepted,
        1 => EventStatus::SoftFailed,
        2 => EventStatus::Rejected,
        3 => EventStatus::Outlier,
        4 => EventStatus::Waiting,
        _ => return Err(damaged(format!("event status {code} is unknown"))),
    })
}
