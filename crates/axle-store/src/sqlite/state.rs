//! Room state: what it is now, and the log of its changes.

use std::collections::HashSet;

use axle_protocol::RoomId;
use rusqlite::{Connection, params};

use super::directory;
use super::rows::{self, Room, RoomRow, integer};
use super::user_directory;
use super::writer::Tx;
use crate::{EventStatus, NewEvent, StoreError, StoredEvent};

/// Where in the room's order a change of state takes effect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The first position whose state before it has the change.
    pub(super) holds_from: i64,
    /// The room's head is beyond it.
    pub(super) history: bool,
}

/// Records what an event, stored at `event_stream`, does to its room's state, if anything; changes of current state are
/// made at `stream`.
pub(super) fn record(
    tx: &mut Tx<'_>,
    room: &mut RoomRow,
    event: &NewEvent,
    event_stream: i64,
    place: Place,
    stream: i64,
) -> Result<(), StoreError> {
    let Some(state_key) = &event.state_key else { return Ok(()) };
    if event.sets_state {
        if is_current(tx.conn, room.id, event, state_key)? {
            return Ok(());
        }
        if event.event_type == "m.room.member" {
            directory::member_changes(tx.conn, room.id, state_key, event.membership)?;
        }
        set_current(tx.conn, room.id, event, event_stream, state_key)?;
        tx.effects.state.push((room.id, stream));
        let parent = room.state_id;
        room.state_id =
            Some(insert_change(tx.conn, room.id, (event, event_stream), state_key, place, Some((parent, stream)))?);
    } else if place.history && event.status == EventStatus::Accepted && event.position.is_some() {
        insert_change(tx.conn, room.id, (event, event_stream), state_key, place, None)?;
    }
    Ok(())
}

fn is_current(conn: &Connection, room: i64, event: &NewEvent, state_key: &str) -> Result<bool, StoreError> {
    let sql = "SELECT event_id = ?4 FROM current_state WHERE room = ?1 AND event_type = ?2 AND state_key = ?3";
    Ok(integer(conn, sql, params![room, event.event_type, state_key, event.event_id.as_str()])? == Some(1))
}

/// An event got another stream position.
pub(super) fn follow(conn: &Connection, room: i64, event: &NewEvent, from: i64, to: i64) -> Result<(), StoreError> {
    let Some(state_key) = &event.state_key else { return Ok(()) };
    for table in ["current_state", "state_change"] {
        let sql = format!(
            "UPDATE {table} SET event = ?5 WHERE room = ?1 AND event_type = ?2 AND state_key = ?3 AND event = ?4"
        );
        conn.prepare_cached(&sql)?.execute(params![room, event.event_type, state_key, from, to])?;
    }
    Ok(())
}

fn set_current(conn: &Connection, room: i64, event: &NewEvent, stream: i64, state_key: &str) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO current_state (room, event_type, state_key, event, event_id, membership)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE
         SET event = excluded.event, event_id = excluded.event_id, membership = excluded.membership",
    )?
    .execute(params![
        room,
        event.event_type,
        state_key,
        stream,
        event.event_id.as_str(),
        event.membership.map(|membership| membership.as_str()),
    ])?;
    if event.event_type == "m.room.member" { user_directory::note(conn, room, event, state_key) } else { Ok(()) }
}

/// `made`: the state it was made on and when, unless it is history.
fn insert_change(
    conn: &Connection,
    room: i64,
    (event, event_stream): (&NewEvent, i64),
    state_key: &str,
    place: Place,
    made: Option<(Option<i64>, i64)>,
) -> Result<i64, StoreError> {
    conn.prepare_cached(
        "INSERT INTO state_change (parent, room, event_type, state_key, holds_from, stream, event)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        made.and_then(|(parent, _)| parent),
        room,
        event.event_type,
        state_key,
        place.holds_from,
        made.map(|(_, stream)| stream),
        event_stream
    ])?;
    Ok(conn.last_insert_rowid())
}

/// One entry of the state before a position.
pub(super) fn entry_before(
    conn: &Connection,
    room_id: &RoomId,
    room: &Room,
    position: i64,
    event_type: &str,
    state_key: &str,
) -> Result<Option<StoredEvent>, StoreError> {
    let held = format!(
        "SELECT {} FROM state_change s JOIN event e ON e.stream = s.event
         WHERE s.room = ?1 AND s.event_type = ?2 AND s.state_key = ?3 AND s.holds_from <= ?4
         ORDER BY s.holds_from DESC, s.stream IS NOT NULL DESC, s.id DESC LIMIT 1",
        rows::EVENT_COLUMNS
    );
    // Where history ends a join may have brought something else: that is what this server has gone by.
    let read = |row: &rusqlite::Row<'_>| rows::event(row, room_id, room.version);
    let mut find = conn.prepare_cached(&held)?;
    let found = rows::one(&mut find, params![room.id, event_type, state_key, position], read)?;
    if found.is_some() {
        return Ok(found);
    }
    // History that was fetched from before our join: what the join brought, and history has not placed, is older.
    let brought = format!(
        "SELECT {} FROM state_change s JOIN event e ON e.stream = s.event
         WHERE s.room = ?1 AND s.event_type = ?2 AND s.state_key = ?3 ORDER BY s.holds_from, s.id LIMIT 1",
        rows::EVENT_COLUMNS
    );
    let mut find = conn.prepare_cached(&brought)?;
    let first = rows::one(&mut find, params![room.id, event_type, state_key], read)?;
    Ok(first.filter(|event| event.position.is_none()))
}

/// The whole state before a position.
pub(super) fn before(
    conn: &Connection,
    room_id: &RoomId,
    room: &Room,
    position: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let mut keys = conn.prepare_cached("SELECT event_type, state_key FROM current_state WHERE room = ?1")?;
    let mut keys = keys.query([room.id])?;
    let mut found = Vec::new();
    while let Some(key) = keys.next()? {
        let event_type = key.get_ref(0)?.as_str().map_err(super::error::damaged)?;
        let state_key = key.get_ref(1)?.as_str().map_err(super::error::damaged)?;
        found.extend(entry_before(conn, room_id, room, position, event_type, state_key)?);
    }
    Ok(found)
}

/// Changes of current state with `after < stream <= until`, the last of each key.
pub(super) fn changes(
    conn: &Connection,
    room_id: &RoomId,
    room: &Room,
    after: i64,
    until: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let sql = format!(
        "SELECT {}, s.event_type, s.state_key FROM state_change s CROSS JOIN event e ON e.stream = s.event
         WHERE s.room = ?1 AND s.stream > ?2 AND s.stream <= ?3 ORDER BY s.stream DESC",
        rows::EVENT_COLUMNS
    );
    let mut find = conn.prepare_cached(&sql)?;
    let mut found = find.query([room.id, after, until])?;
    let mut keys: HashSet<(String, String)> = HashSet::new();
    let mut changes = Vec::new();
    while let Some(row) = found.next()? {
        if keys.insert((row.get(6)?, row.get(7)?)) {
            changes.push(rows::event(row, room_id, room.version)?);
        }
    }
    changes.reverse();
    Ok(changes)
}
