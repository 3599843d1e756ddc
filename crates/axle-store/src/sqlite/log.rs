//! Reading rooms, and the entrance to [`append`](super::append).

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::event::Hash;
use axle_protocol::{EventId, RoomId, UserId};
use rusqlite::{Connection, Row, params};

use super::event_index::{View, find, find_lpdu};
use super::lately::Lately;
use super::rows::{self, EVENT_COLUMNS, Room, RoomRow, all, one};
use super::snapshot::Snapshot;
use super::{SqliteStore, append, out_of_room, state, user_rooms};
use crate::{
    Append, Appended, Direction, EventStatus, OutOfRoom, RoomHead, RoomLog, RoomSnapshot, StateBefore, StateEntry,
    StoreError, StoredEvent, SyncRoom, UserRoom,
};

/// What so many parts of an append take is little beside its commit.
const SMALL_APPEND: usize = 4;

/// Messages, and what goes with them. State, redactions and groups change more than the log.
fn is_small(append: &Append) -> bool {
    let Append { events, deliveries, settled_lpdus, client_txns, announcements, groups, .. } = append;
    let only_messages = events.iter().all(|event| event.state_key.is_none() && event.redacts.is_none());
    let parts = events.len() + settled_lpdus.len() + client_txns.len();
    only_messages && parts <= SMALL_APPEND && deliveries.is_empty() && announcements.is_empty() && groups.is_empty()
}

#[async_trait]
impl RoomLog for SqliteStore {
    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        if is_small(&append) {
            return self.write_small(move |tx| append::append(tx, &append)).await;
        }
        self.write(move |tx| append::append(tx, &append)).await
    }

    async fn load_room(&self, room_id: &RoomId) -> Result<Option<RoomSnapshot>, StoreError> {
        let room_id = room_id.clone();
        self.read(move |conn| rows::room_now(conn, &room_id)?.map(|room| load_room(conn, &room_id, &room)).transpose())
            .await
    }

    async fn rooms_with_waiting(&self) -> Result<Vec<RoomId>, StoreError> {
        self.read(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT room_id FROM room WHERE id IN (SELECT DISTINCT room FROM event WHERE status = 4) ORDER BY id",
            )?;
            all(&mut find, [], |row| rows::id(row, 0))
        })
        .await
    }

    async fn event(&self, event_id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        let event_id = event_id.clone();
        self.read_events(move |conn, view| event(conn, view, &event_id)).await
    }

    async fn events(&self, event_ids: &[EventId]) -> Result<Vec<StoredEvent>, StoreError> {
        let event_ids = event_ids.to_vec();
        let read = move |conn: &Connection, view: &View| -> Result<Vec<StoredEvent>, StoreError> {
            event_ids.iter().filter_map(|id| event(conn, view, id).transpose()).collect()
        };
        self.read_events(read).await
    }

    async fn known_lpdus(&self, room_id: &RoomId, hashes: &[Hash]) -> Result<Vec<(Hash, EventId)>, StoreError> {
        let (room_id, hashes) = (room_id.clone(), hashes.to_vec());
        self.read_events(move |conn, view| {
            let mut known = Vec::new();
            let Some(room) = rows::room(conn, &room_id)? else { return Ok(known) };
            for hash in hashes {
                known.extend(find_lpdu(conn, view, room.id, &hash)?.map(|(id, _)| (hash, id)));
            }
            Ok(known)
        })
        .await
    }

    async fn timeline(
        &self,
        room_id: &RoomId,
        from: Option<i64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_room(room_id, move |conn, room_id, room| timeline(conn, room_id, room, from, direction, limit)).await
    }

    async fn unplaced(&self, room_id: &RoomId, after: i64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read_room(room_id, move |conn, room_id, room| {
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM event e
                 WHERE e.room = ?1 AND e.position IS NULL AND e.stream > ?2 ORDER BY e.stream LIMIT ?3"
            );
            all(&mut conn.prepare_cached(&sql)?, [room.id, after, limit], |row| rows::event(row, room_id, room.version))
        })
        .await
    }

    async fn state_before(&self, room_id: &RoomId, position: i64) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_room(room_id, move |conn, room_id, room| state::before(conn, room_id, room, position)).await
    }

    async fn current_state(&self, room_id: &RoomId) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_room(room_id, |conn, room_id, room| {
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM current_state c CROSS JOIN event e ON e.stream = c.event
                 WHERE c.room = ?1"
            );
            all(&mut conn.prepare_cached(&sql)?, [room.id], |row| rows::event(row, room_id, room.version))
        })
        .await
    }

    async fn state_event(
        &self,
        room_id: &RoomId,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StoredEvent>, StoreError> {
        let (event_type, state_key) = (event_type.to_owned(), state_key.to_owned());
        self.read_room(room_id, move |conn, room_id, room| {
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM current_state c CROSS JOIN event e ON e.stream = c.event
                 WHERE c.room = ?1 AND c.event_type = ?2 AND c.state_key = ?3"
            );
            one(&mut conn.prepare_cached(&sql)?, params![room.id, event_type, state_key], |row| {
                rows::event(row, room_id, room.version)
            })
        })
        .await
    }

    async fn state_event_before(
        &self,
        room_id: &RoomId,
        position: i64,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StoredEvent>, StoreError> {
        let (event_type, state_key) = (event_type.to_owned(), state_key.to_owned());
        self.read_room(room_id, move |conn, room_id, room| {
            state::entry_before(conn, room_id, room, position, &event_type, &state_key)
        })
        .await
    }

    async fn state_events_before(
        &self,
        room_id: &RoomId,
        wanted: Vec<StateBefore>,
    ) -> Result<Vec<Option<StoredEvent>>, StoreError> {
        self.read_room(room_id, move |conn, room_id, room| {
            let before = |wanted: &StateBefore| {
                state::entry_before(conn, room_id, room, wanted.position, &wanted.event_type, &wanted.state_key)
            };
            wanted.iter().map(before).collect()
        })
        .await
    }

    async fn state_changes(&self, room_id: &RoomId, after: i64, until: i64) -> Result<Vec<StoredEvent>, StoreError> {
        let nothing = |lately: &Lately, room| lately.no_state_changes(room, after);
        self.read_room_unless(nothing, room_id, move |conn, room_id, room| {
            state::changes(conn, room_id, room, after, until)
        })
        .await
    }

    async fn has_state_changes(&self, room_id: &RoomId, after: i64) -> Result<bool, StoreError> {
        let nothing = |lately: &Lately, room| lately.no_state_changes(room, after);
        self.read_room_unless(nothing, room_id, move |conn, _, room| {
            let sql = "SELECT EXISTS (SELECT 1 FROM state_change WHERE room = ?1 AND stream > ?2)";
            Ok(rows::integer(conn, sql, [room.id, after])? == Some(1))
        })
        .await
    }

    async fn sync_room(&self, room_id: &RoomId, after: i64, until: i64, limit: usize) -> Result<SyncRoom, StoreError> {
        let found = self.read_room(room_id, move |conn, room_id, room| {
            sync_room(conn, room_id, room, after, until, limit).map(Some)
        });
        Ok(found.await?.unwrap_or(SyncRoom { timeline: Vec::new(), limited: false }))
    }

    async fn max_stream(&self) -> Result<i64, StoreError> {
        if self.inner.writer.is_none() {
            return self.read(append::last_stream).await;
        }
        if let Some(snapshot) = Snapshot::open(&self.inner.readers) {
            return Ok(snapshot.stream);
        }
        Ok(self.inner.shared.stream.load(Ordering::Acquire))
    }

    async fn user_rooms(&self, user_id: &UserId) -> Result<Vec<UserRoom>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| user_rooms::all_of(conn, &user_id)).await
    }

    async fn user_rooms_changed(&self, user_id: &UserId, after: i64) -> Result<Vec<UserRoom>, StoreError> {
        let user_id = user_id.clone();
        let recent = self.inner.shared.lately.rooms_after(after, user_rooms::FEW_ROOMS);
        self.read(move |conn| user_rooms::changed(conn, &user_id, after, recent)).await
    }

    async fn joined_among(&self, user_id: &UserId, rooms: Vec<RoomId>) -> Result<Vec<RoomId>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| user_rooms::joined_among(conn, &user_id, rooms)).await
    }

    async fn members(&self, room_id: &RoomId, membership: Membership) -> Result<Vec<UserId>, StoreError> {
        self.read_room(room_id, move |conn, _, room| {
            let mut find = conn.prepare_cached(
                "SELECT state_key FROM current_state
                 WHERE room = ?1 AND event_type = 'm.room.member' AND membership = ?2 ORDER BY state_key",
            )?;
            all(&mut find, params![room.id, membership.as_str()], |row| rows::id(row, 0))
        })
        .await
    }

    async fn joined_count(&self, room_id: &RoomId, limit: usize) -> Result<usize, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let count = self.read_room(room_id, move |conn, _, room| {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM current_state
                 WHERE room = ?1 AND event_type = 'm.room.member' AND membership = 'join' LIMIT ?2)";
            rows::integer(conn, sql, [room.id, limit])
        });
        usize::try_from(count.await?.unwrap_or(0)).map_err(super::error::damaged)
    }

    async fn put_out_of_room(&self, entry: OutOfRoom) -> Result<i64, StoreError> {
        self.write(move |tx| out_of_room::put(tx, &entry)).await
    }

    async fn out_of_room(&self, user_id: &UserId) -> Result<Vec<OutOfRoom>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| out_of_room::of(conn, &user_id, None)).await
    }

    async fn out_of_room_in(&self, user_id: &UserId, room_id: &RoomId) -> Result<Option<OutOfRoom>, StoreError> {
        let (user_id, room_id) = (user_id.clone(), room_id.clone());
        self.read(move |conn| Ok(out_of_room::of(conn, &user_id, Some(&room_id))?.pop())).await
    }

    async fn remove_out_of_room(&self, user_id: &UserId, room_id: &RoomId) -> Result<(), StoreError> {
        let (user_id, room_id) = (user_id.clone(), room_id.clone());
        self.write(move |tx| out_of_room::remove(tx, &user_id, &room_id)).await
    }
}

fn event(conn: &Connection, view: &View, event_id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
    let Some(found) = find(conn, view, event_id)? else { return Ok(None) };
    let sql = format!(
        "SELECT {EVENT_COLUMNS}, r.room_id, r.version FROM event e JOIN room r ON r.id = e.room WHERE e.stream = ?1"
    );
    one(&mut conn.prepare_cached(&sql)?, [found.stream], with_room)
}

/// An event from [`EVENT_COLUMNS`] and its room's id and version.
pub(super) fn with_room(row: &Row<'_>) -> Result<StoredEvent, StoreError> {
    let room_id = rows::id(row, 6)?;
    rows::event(row, &room_id, rows::version(row.get_ref(7)?.as_str().map_err(super::error::damaged)?)?)
}

fn load_room(conn: &Connection, room_id: &RoomId, room: &RoomRow) -> Result<RoomSnapshot, StoreError> {
    let mut head =
        conn.prepare_cached("SELECT position, event_id, stream FROM event WHERE room = ?1 AND position = ?2")?;
    let head = one(&mut head, params![room.id, room.head], |row| {
        Ok(RoomHead { position: row.get(0)?, event_id: rows::id(row, 1)?, stream: row.get(2)? })
    })?;
    // A member's event is not read: the row says what rules need of it.
    let mut state = conn.prepare_cached(
        "SELECT c.event_type, c.state_key, c.event_id, c.membership,
                CASE WHEN c.event_type <> 'm.room.member'
                     THEN (SELECT json FROM event e WHERE e.stream = c.event) END
         FROM current_state c WHERE c.room = ?1",
    )?;
    let state = all(&mut state, [room.id], |row| {
        Ok(StateEntry {
            event_type: row.get(0)?,
            state_key: row.get(1)?,
            event_id: rows::id(row, 2)?,
            membership: rows::membership(row, 3)?,
            json: row.get(4)?,
        })
    })?;
    let sql = format!("SELECT {EVENT_COLUMNS} FROM event e WHERE e.room = ?1 AND e.status = 4 ORDER BY e.stream");
    let waiting = all(&mut conn.prepare_cached(&sql)?, [room.id], |row| rows::event(row, room_id, room.version))?;
    let group = super::groups::newest(conn, room.id)?;
    Ok(RoomSnapshot { room_id: room_id.clone(), room_version: room.version, head, state, waiting, group })
}

fn timeline(
    conn: &Connection,
    room_id: &RoomId,
    room: &Room,
    from: Option<i64>,
    direction: Direction,
    limit: usize,
) -> Result<Vec<StoredEvent>, StoreError> {
    let (compare, order, from) = match direction {
        Direction::Backward => ("<=", "DESC", from.unwrap_or(i64::MAX)),
        Direction::Forward => (">=", "ASC", from.unwrap_or(i64::MIN)),
    };
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM event e
         WHERE e.room = ?1 AND e.position {compare} ?2 AND e.status <> 2 ORDER BY e.position {order} LIMIT ?3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    all(&mut conn.prepare_cached(&sql)?, [room.id, from, limit], |row| rows::event(row, room_id, room.version))
}

/// Walks back from the head. What is appended there comes in the order of the stream, so the first event that is not
/// newer than `after` ends the walk.
fn sync_room(
    conn: &Connection,
    room_id: &RoomId,
    room: &Room,
    after: i64,
    until: i64,
    limit: usize,
) -> Result<SyncRoom, StoreError> {
    let sql =
        format!("SELECT {EVENT_COLUMNS} FROM event e WHERE e.room = ?1 AND e.position >= 0 ORDER BY e.position DESC");
    let mut newest = conn.prepare_cached(&sql)?;
    let mut newest = newest.query([room.id])?;
    let mut sync = SyncRoom { timeline: Vec::new(), limited: false };
    while let Some(row) = newest.next()? {
        let stream: i64 = row.get(0)?;
        if stream <= after {
            break;
        }
        let event = rows::event(row, room_id, room.version)?;
        if stream > until || event.status != EventStatus::Accepted {
            continue;
        }
        if sync.timeline.len() == limit {
            sync.limited = true;
            break;
        }
        sync.timeline.push(event);
    }
    sync.timeline.reverse();
    Ok(sync)
}
