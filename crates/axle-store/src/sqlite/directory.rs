//! The room directory.

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};
use rusqlite::{Connection, Row, params};

use super::error::damaged;
use super::rows::{self, EVENT_COLUMNS};
use super::{SqliteStore, forgotten};
use crate::{
    ListPart, ListedRoom, MAX_ALIASES_PER_ROOM, PutAlias, RoomAlias, RoomDescription, RoomDirectory, StoreError,
    StoredEvent,
};

#[async_trait]
impl RoomDirectory for SqliteStore {
    async fn put_alias(&self, alias: &str, room_id: &RoomId, creator: &UserId) -> Result<PutAlias, StoreError> {
        let (alias, room_id, creator) = (alias.to_owned(), room_id.clone(), creator.clone());
        self.write(move |tx| put_alias(tx.conn, &alias, &room_id, &creator)).await
    }

    async fn alias(&self, alias: &str) -> Result<Option<RoomAlias>, StoreError> {
        let alias = alias.to_owned();
        self.read(move |conn| {
            let mut find = conn.prepare_cached("SELECT room_id, creator FROM room_alias WHERE alias = ?1")?;
            rows::one(&mut find, [alias], |row| {
                Ok(RoomAlias { room_id: rows::id(row, 0)?, creator: rows::id(row, 1)? })
            })
        })
        .await
    }

    async fn remove_alias(&self, alias: &str) -> Result<bool, StoreError> {
        let alias = alias.to_owned();
        self.write(move |tx| {
            Ok(tx.conn.prepare_cached("DELETE FROM room_alias WHERE alias = ?1")?.execute([&alias])? > 0)
        })
        .await
    }

    async fn room_aliases(&self, room_id: &RoomId) -> Result<Vec<String>, StoreError> {
        let room_id = room_id.clone();
        self.read(move |conn| {
            let mut find = conn.prepare_cached("SELECT alias FROM room_alias WHERE room_id = ?1 ORDER BY alias")?;
            rows::all(&mut find, [room_id.as_str()], |row| Ok(row.get(0)?))
        })
        .await
    }

    async fn set_listed(&self, room_id: &RoomId, listed: bool) -> Result<(), StoreError> {
        let room_id = room_id.clone();
        self.write(move |tx| if listed { list(tx.conn, &room_id) } else { unlist(tx.conn, &room_id).map(|_| ()) }).await
    }

    async fn is_listed(&self, room_id: &RoomId) -> Result<bool, StoreError> {
        let room_id = room_id.clone();
        self.read(move |conn| {
            let sql = "SELECT 1 FROM listed_room WHERE room = (SELECT id FROM room WHERE room_id = ?1)";
            Ok(rows::integer(conn, sql, [room_id.as_str()])?.is_some())
        })
        .await
    }

    async fn listed_rooms(&self, part: ListPart, limit: usize) -> Result<Vec<ListedRoom>, StoreError> {
        self.read(move |conn| listed_rooms(conn, &part, limit)).await
    }

    async fn count_listed_rooms(&self) -> Result<u64, StoreError> {
        self.read(|conn| {
            let count = rows::integer(conn, "SELECT count(*) FROM listed_room", [])?;
            u64::try_from(count.unwrap_or(0)).map_err(damaged)
        })
        .await
    }

    async fn move_directory_entries(&self, from: &RoomId, to: &RoomId) -> Result<(), StoreError> {
        let (from, to) = (from.clone(), to.clone());
        self.write(move |tx| {
            tx.conn
                .prepare_cached("UPDATE room_alias SET room_id = ?2 WHERE room_id = ?1")?
                .execute([from.as_str(), to.as_str()])?;
            if unlist(tx.conn, &from)? { list(tx.conn, &to) } else { Ok(()) }
        })
        .await
    }

    async fn describe_rooms(
        &self,
        room_ids: &[RoomId],
        types: &'static [&'static str],
    ) -> Result<Vec<RoomDescription>, StoreError> {
        let room_ids = room_ids.to_vec();
        self.read(move |conn| {
            let described = room_ids.iter().map(|room_id| describe(conn, room_id, types));
            described.filter_map(Result::transpose).collect()
        })
        .await
    }

    async fn count_state(&self, room_id: &RoomId) -> Result<u64, StoreError> {
        let room_id = room_id.clone();
        let count = self.read(move |conn| {
            let Some(room) = rows::room(conn, &room_id)? else { return Ok(None) };
            rows::integer(conn, "SELECT count(*) FROM current_state WHERE room = ?1", [room.id])
        });
        u64::try_from(count.await?.unwrap_or(0)).map_err(damaged)
    }

    async fn state_of_type(&self, room_id: &RoomId, event_type: &str) -> Result<Vec<StoredEvent>, StoreError> {
        let (room_id, event_type) = (room_id.clone(), event_type.to_owned());
        self.read(move |conn| {
            let Some(room) = rows::room(conn, &room_id)? else { return Ok(Vec::new()) };
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM current_state c CROSS JOIN event e ON e.stream = c.event
                 WHERE c.room = ?1 AND c.event_type = ?2"
            );
            let mut find = conn.prepare_cached(&sql)?;
            rows::all(&mut find, params![room.id, event_type], |row| rows::event(row, &room_id, room.version))
        })
        .await
    }
}

/// A user's membership in a room is about to become another: a listed room keeps its size, and who comes back has not
/// forgotten the room any more.
pub(super) fn member_changes(
    conn: &Connection,
    room: i64,
    user_id: &str,
    membership: Option<Membership>,
) -> Result<(), StoreError> {
    let joins = membership == Some(Membership::Join);
    conn.prepare_cached(
        "UPDATE listed_room SET joined = joined + ?3 - (
             SELECT count(*) FROM current_state
             WHERE room = ?1 AND event_type = 'm.room.member' AND state_key = ?2 AND +membership = 'join')
         WHERE room = ?1",
    )?
    .execute(params![room, user_id, i64::from(joins)])?;
    if joins {
        forgotten::remember(conn, room, user_id)?;
    }
    Ok(())
}

fn put_alias(conn: &Connection, alias: &str, room_id: &RoomId, creator: &UserId) -> Result<PutAlias, StoreError> {
    if rows::integer(conn, "SELECT 1 FROM room_alias WHERE alias = ?1", [alias])?.is_some() {
        return Ok(PutAlias::Taken);
    }
    let others = rows::integer(conn, "SELECT count(*) FROM room_alias WHERE room_id = ?1", [room_id.as_str()])?;
    if usize::try_from(others.unwrap_or(0)).map_err(damaged)? >= MAX_ALIASES_PER_ROOM {
        return Ok(PutAlias::Full);
    }
    conn.prepare_cached("INSERT INTO room_alias (alias, room_id, creator) VALUES (?1, ?2, ?3)")?.execute([
        alias,
        room_id.as_str(),
        creator.as_str(),
    ])?;
    Ok(PutAlias::Stored)
}

fn list(conn: &Connection, room_id: &RoomId) -> Result<(), StoreError> {
    let Some(room) = rows::room(conn, room_id)? else { return Ok(()) };
    conn.prepare_cached("INSERT OR IGNORE INTO listed_room (room, room_id, joined) VALUES (?1, ?2, ?3)")?
        .execute(params![room.id, room_id.as_str(), joined_members(conn, room.id)?])?;
    Ok(())
}

/// Whether it was listed.
fn unlist(conn: &Connection, room_id: &RoomId) -> Result<bool, StoreError> {
    let mut remove =
        conn.prepare_cached("DELETE FROM listed_room WHERE room = (SELECT id FROM room WHERE room_id = ?1)")?;
    Ok(remove.execute([room_id.as_str()])? > 0)
}

fn joined_members(conn: &Connection, room: i64) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM current_state
               WHERE room = ?1 AND event_type = 'm.room.member' AND membership = 'join'";
    Ok(rows::integer(conn, sql, [room])?.unwrap_or(0))
}

fn listed_rooms(conn: &Connection, part: &ListPart, limit: usize) -> Result<Vec<ListedRoom>, StoreError> {
    let (compare, order, place) = match part {
        ListPart::Start => ("<=", "DESC", (i64::MAX, "")),
        ListPart::After(place) => ("<", "DESC", (saturated(place.joined_members), place.room_id.as_str())),
        ListPart::Before(place) => (">", "ASC", (saturated(place.joined_members), place.room_id.as_str())),
    };
    let sql = format!(
        "SELECT room_id, joined FROM listed_room WHERE (joined, room_id) {compare} (?1, ?2)
         ORDER BY joined {order}, room_id {order} LIMIT ?3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    rows::all(&mut conn.prepare_cached(&sql)?, params![place.0, place.1, limit], listed_room)
}

fn listed_room(row: &Row<'_>) -> Result<ListedRoom, StoreError> {
    Ok(ListedRoom { room_id: rows::id(row, 0)?, joined_members: rows::count(row, 1)? })
}

fn saturated(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn describe(
    conn: &Connection,
    room_id: &RoomId,
    types: &[&'static str],
) -> Result<Option<RoomDescription>, StoreError> {
    let Some(room) = rows::room(conn, room_id)? else { return Ok(None) };
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM current_state c CROSS JOIN event e ON e.stream = c.event
         WHERE c.room = ?1 AND c.event_type = ?2 AND c.state_key = ''"
    );
    let mut find = conn.prepare_cached(&sql)?;
    let mut state = Vec::new();
    for event_type in types {
        let found = rows::one(&mut find, params![room.id, event_type], |row| rows::event(row, room_id, room.version))?;
        state.extend(found);
    }
    let joined = "SELECT joined FROM listed_room WHERE room = ?1";
    let joined = match rows::integer(conn, joined, [room.id])? {
        Some(joined) => joined,
        None => joined_members(conn, room.id)?,
    };
    let joined_members = u64::try_from(joined).map_err(damaged)?;
    Ok(Some(RoomDescription { room_id: room_id.clone(), room_version: room.version, joined_members, state }))
}
