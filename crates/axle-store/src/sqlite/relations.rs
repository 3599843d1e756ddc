//! Relations between events.

use async_trait::async_trait;
use axle_protocol::{EventId, RoomId, UserId};
use rusqlite::{Connection, params};

use super::rows::{self, EVENT_COLUMNS, Room, all, one};
use super::{SqliteStore, error};
use crate::{
    Aggregation, Direction, EventStatus, MAX_EDITS, MAX_REFERENCES, MAX_RELATED, MAX_RELATION_DEPTH, NewEvent,
    REFERENCE, REPLACE, Relation, RelationQuery, Relations, StoreError, StoredEvent, THREAD, Target, Thread,
    ThreadPlace,
};

/// Keeps the relation of an event that is stored at this stream position, if it counts.
pub(super) fn record(
    conn: &Connection,
    room: i64,
    event: &NewEvent,
    relation: &Relation,
    stream: i64,
) -> Result<(), StoreError> {
    let Some(position) = event.position.filter(|_| event.status == EventStatus::Accepted) else { return Ok(()) };
    // A redaction may have been there first.
    let kept = conn
        .prepare_cached(
            "INSERT INTO relation (event, room, position, event_id, target, rel_type, event_type, sender)
             SELECT stream, ?2, ?3, event_id, ?4, ?5, ?6, ?7 FROM event WHERE stream = ?1 AND redacted_by IS NULL",
        )?
        .execute(params![
            stream,
            room,
            position,
            relation.target.as_str(),
            relation.rel_type,
            event.event_type,
            event.sender.as_str(),
        ])?;
    if kept > 0 && relation.rel_type == THREAD {
        conn.prepare_cached(
            "INSERT INTO thread (room, root, latest) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET latest = max(latest, excluded.latest)",
        )?
        .execute(params![room, relation.target.as_str(), position])?;
    }
    Ok(())
}

/// Drops the relation of an event that was redacted, if it has one.
pub(super) fn forget(conn: &Connection, stream: i64) -> Result<(), StoreError> {
    let mut delete = conn.prepare_cached("DELETE FROM relation WHERE event = ?1 RETURNING room, target, rel_type")?;
    let read = |row: &rusqlite::Row<'_>| -> Result<(i64, String, String), StoreError> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    };
    let Some((room, target, rel_type)) = one(&mut delete, [stream], read)? else { return Ok(()) };
    if rel_type != THREAD {
        return Ok(());
    }
    let latest = "SELECT max(position) FROM relation WHERE room = ?1 AND target = ?2 AND rel_type = ?3";
    match rows::integer(conn, latest, params![room, target, THREAD])? {
        Some(latest) => conn
            .prepare_cached("UPDATE thread SET latest = ?3 WHERE room = ?1 AND root = ?2")?
            .execute(params![room, target, latest])?,
        None => {
            conn.prepare_cached("DELETE FROM thread WHERE room = ?1 AND root = ?2")?.execute(params![room, target])?
        }
    };
    Ok(())
}

#[async_trait]
impl Relations for SqliteStore {
    async fn aggregations(
        &self,
        room_id: &RoomId,
        targets: &[Target],
        reader: &UserId,
        before: i64,
    ) -> Result<Vec<(EventId, Aggregation)>, StoreError> {
        let (targets, reader) = (targets.to_vec(), reader.clone());
        self.read_room(room_id, move |conn, room_id, room| {
            Aggregating { conn, room_id, room, before }.all(&targets, &reader)
        })
        .await
    }

    async fn relations(&self, room_id: &RoomId, query: &RelationQuery) -> Result<Vec<StoredEvent>, StoreError> {
        let query = query.clone();
        self.read_room(room_id, move |conn, room_id, room| relations(conn, room_id, room, &query)).await
    }

    async fn threads(
        &self,
        room_id: &RoomId,
        reader: &UserId,
        before: i64,
        limit: usize,
    ) -> Result<Vec<ThreadPlace>, StoreError> {
        let reader = reader.clone();
        self.read_room(room_id, move |conn, _, room| {
            let mut find = conn.prepare_cached(
                "SELECT t.root, t.latest, EXISTS
                     (SELECT 1 FROM relation r INDEXED BY relation_by_kind
                      WHERE r.room = t.room AND r.target = t.root AND r.rel_type = ?5 AND r.sender = ?2)
                 FROM thread t INDEXED BY thread_by_latest
                 WHERE t.room = ?1 AND t.latest < ?3 ORDER BY t.latest DESC LIMIT ?4",
            )?;
            all(&mut find, params![room.id, reader.as_str(), before, sql_limit(limit), THREAD], |row| {
                Ok(ThreadPlace { root: rows::id(row, 0)?, latest: row.get(1)?, participated: row.get(2)? })
            })
        })
        .await
    }
}

/// What sums are made of.
struct Aggregating<'a> {
    conn: &'a Connection,
    room_id: &'a RoomId,
    room: &'a Room,
    /// Only events before this position count.
    before: i64,
}

/// How many events of a kind relate to an event.
struct Kind {
    target: String,
    rel_type: String,
    count: u64,
    /// Whether the reader sent one of them.
    own: bool,
    /// Position of the last.
    latest: i64,
}

impl Aggregating<'_> {
    fn all(&self, targets: &[Target], reader: &UserId) -> Result<Vec<(EventId, Aggregation)>, StoreError> {
        let kinds = self.kinds(targets, reader)?;
        let mut aggregated = Vec::new();
        for target in targets {
            let mut aggregation = Aggregation::default();
            let mut any = false;
            for kind in kinds.iter().filter(|kind| kind.target == target.event_id.as_str()) {
                any = true;
                match kind.rel_type.as_str() {
                    REPLACE => aggregation.edits = self.edits(target)?,
                    REFERENCE => aggregation.references = self.references(target)?,
                    _ => aggregation.thread = self.thread(kind)?,
                }
            }
            if any {
                aggregated.push((target.event_id.clone(), aggregation));
            }
        }
        Ok(aggregated)
    }

    /// What there is of each kind, for all targets at once: most have nothing.
    fn kinds(&self, targets: &[Target], reader: &UserId) -> Result<Vec<Kind>, StoreError> {
        let ids: Vec<&str> = targets.iter().map(|target| target.event_id.as_str()).collect();
        let ids = serde_json::to_string(&ids).map_err(error::damaged)?;
        let mut count = self.conn.prepare_cached(
            "SELECT r.target, r.rel_type, count(*), max(r.sender = ?3), max(r.position)
             FROM json_each(?2) t CROSS JOIN relation r INDEXED BY relation_by_kind
             WHERE r.room = ?1 AND r.target = t.value AND r.rel_type IN (?5, ?6, ?7) AND r.position < ?4
             GROUP BY r.target, r.rel_type",
        )?;
        let params = params![self.room.id, ids, reader.as_str(), self.before, REPLACE, THREAD, REFERENCE];
        all(&mut count, params, |row| {
            Ok(Kind {
                target: row.get(0)?,
                rel_type: row.get(1)?,
                count: rows::count(row, 2)?,
                own: row.get(3)?,
                latest: row.get(4)?,
            })
        })
    }

    fn edits(&self, target: &Target) -> Result<Vec<StoredEvent>, StoreError> {
        let sql = format!(
            "SELECT {EVENT_COLUMNS} FROM relation r INDEXED BY relation_by_kind CROSS JOIN event e ON e.stream = r.event
             WHERE r.room = ?1 AND r.target = ?2 AND r.rel_type = ?3 AND r.sender = ?4 AND r.position < ?5
             ORDER BY r.position DESC LIMIT ?6"
        );
        let target_id = target.event_id.as_str();
        let params = params![self.room.id, target_id, REPLACE, target.sender, self.before, sql_limit(MAX_EDITS)];
        all(&mut self.conn.prepare_cached(&sql)?, params, |row| rows::event(row, self.room_id, self.room.version))
    }

    fn references(&self, target: &Target) -> Result<Vec<StoredEvent>, StoreError> {
        let sql = format!(
            "SELECT {EVENT_COLUMNS} FROM relation r INDEXED BY relation_in_order CROSS JOIN event e ON e.stream = r.event
             WHERE r.room = ?1 AND r.target = ?2 AND r.rel_type = ?3 AND r.position < ?4
             ORDER BY r.position LIMIT ?5"
        );
        let params = params![self.room.id, target.event_id.as_str(), REFERENCE, self.before, sql_limit(MAX_REFERENCES)];
        all(&mut self.conn.prepare_cached(&sql)?, params, |row| rows::event(row, self.room_id, self.room.version))
    }

    fn thread(&self, kind: &Kind) -> Result<Option<Thread>, StoreError> {
        let sql = format!("SELECT {EVENT_COLUMNS} FROM event e WHERE e.room = ?1 AND e.position = ?2");
        let read = |row: &rusqlite::Row<'_>| rows::event(row, self.room_id, self.room.version);
        let latest = one(&mut self.conn.prepare_cached(&sql)?, [self.room.id, kind.latest], read)?;
        Ok(latest.map(|latest| Thread { latest, count: kind.count, participated: kind.own }))
    }
}

fn relations(
    conn: &Connection,
    room_id: &RoomId,
    room: &Room,
    query: &RelationQuery,
) -> Result<Vec<StoredEvent>, StoreError> {
    let (compare, order, from) = match query.direction {
        Direction::Backward => ("<", "DESC", query.from.unwrap_or(i64::MAX)),
        Direction::Forward => (">=", "ASC", query.from.unwrap_or(i64::MIN)),
    };
    // An event relates to one other at most: nothing is reached twice.
    let target = if query.recurse {
        format!(
            "IN (WITH RECURSIVE reached (event_id, depth) AS (
                     SELECT ?2, 1 UNION ALL
                     SELECT n.event_id, depth + 1 FROM reached CROSS JOIN relation n INDEXED BY relation_in_order
                     WHERE n.room = ?1 AND n.target = reached.event_id AND depth < {MAX_RELATION_DEPTH}
                     LIMIT {MAX_RELATED})
                 SELECT event_id FROM reached)"
        )
    } else {
        "= ?2".to_owned()
    };
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM relation r INDEXED BY relation_in_order CROSS JOIN event e ON e.stream = r.event
         WHERE r.room = ?1 AND r.target {target} AND r.position {compare} ?3
             AND (?4 IS NULL OR r.rel_type = ?4) AND (?5 IS NULL OR r.event_type = ?5)
         ORDER BY r.position {order} LIMIT ?6"
    );
    let params =
        params![room.id, query.target.as_str(), from, query.rel_type, query.event_type, sql_limit(query.limit)];
    all(&mut conn.prepare_cached(&sql)?, params, |row| rows::event(row, room_id, room.version))
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
