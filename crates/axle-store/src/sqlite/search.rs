//! The full-text index of messages.
//!
//! Every entry has the room as a word of its own, so that a search goes through the entries of the searcher's rooms and
//! not through those of the whole server.

use async_trait::async_trait;
use axle_protocol::RoomId;
use rusqlite::{Connection, params};

use super::append::last_stream;
use super::log::with_room;
use super::rows::{self, EVENT_COLUMNS, all, integer, one};
use super::{SqliteStore, error};
use crate::search::searchable_text;
use crate::{EventStatus, MessageSearch, SearchKey, SearchMatches, SearchQuery, StoreError, StoredEvent};

/// How far the index is.
const INDEXED_TO: &str = "SELECT indexed_to FROM message_search_now";
/// When there was nothing to index in so many stream positions, it is noted all the same how far the index is.
const UNNOTED: i64 = 10_000;

#[async_trait]
impl MessageSearch for SqliteStore {
    async fn searchable_to(&self) -> Result<i64, StoreError> {
        self.read(|conn| Ok(integer(conn, INDEXED_TO, [])?.unwrap_or(0))).await
    }

    async fn make_searchable(&self, after: i64, limit: usize) -> Result<i64, StoreError> {
        // Texts are taken out of the events here, so that the thread that writes does not do it.
        let batch = self.read(move |conn| Batch::read(conn, after, limit)).await?;
        let to = batch.to;
        if batch.entries.is_empty() && to < batch.noted.saturating_add(UNNOTED) {
            return Ok(to);
        }
        self.write(move |tx| batch.write(tx.conn)).await?;
        Ok(to)
    }

    async fn search_messages(&self, query: &SearchQuery) -> Result<SearchMatches, StoreError> {
        if query.words.is_empty() || query.keys.is_empty() {
            return Ok(SearchMatches::default());
        }
        let query = query.clone();
        self.read(move |conn| search(conn, &query)).await
    }
}

/// Takes an event that was redacted out of the index, if it is there.
pub(super) fn forget(conn: &Connection, stream: i64) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM message_search WHERE rowid = ?1")?.execute([stream])?;
    Ok(())
}

/// What is to be put into the index at once.
struct Batch {
    entries: Vec<Entry>,
    /// How far the index is then.
    to: i64,
    /// How far it is, as was noted.
    noted: i64,
}

struct Entry {
    stream: i64,
    room: i64,
    key: SearchKey,
    text: String,
}

impl Batch {
    fn read(conn: &Connection, after: i64, limit: usize) -> Result<Self, StoreError> {
        // Before the events: those that come meanwhile are left for the next batch.
        let last = last_stream(conn)?;
        let noted = integer(conn, INDEXED_TO, [])?.unwrap_or(0);
        let mut next = conn.prepare_cached(
            "SELECT stream, room, status, redacted_by IS NOT NULL, json FROM event NOT INDEXED
             WHERE stream > ?1 AND stream <= ?2 ORDER BY stream LIMIT ?3",
        )?;
        let mut events = next.query(params![after, last, i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let mut batch = Self { entries: Vec::new(), to: after, noted };
        let mut read = 0;
        while let Some(row) = events.next()? {
            read += 1;
            batch.to = row.get(0)?;
            // An outlier may become history, at the same stream position. What waits is stored anew when its turn comes.
            let status: i64 = row.get(2)?;
            let counts = [EventStatus::Accepted, EventStatus::Outlier].map(rows::status_code).contains(&status);
            if !counts || row.get(3)? {
                continue;
            }
            let json = row.get_ref(4)?.as_str().map_err(error::damaged)?;
            if let Some((key, text)) = searchable_text(json) {
                batch.entries.push(Entry { stream: batch.to, room: row.get(1)?, key, text });
            }
        }
        if read < limit {
            batch.to = last.max(after);
        }
        Ok(batch)
    }

    fn write(&self, conn: &Connection) -> Result<(), StoreError> {
        let noted = integer(conn, INDEXED_TO, [])?.unwrap_or(0);
        for entry in self.entries.iter().filter(|entry| entry.stream > noted) {
            let column = column(entry.key);
            // It may have been redacted, or have got another place, since it was read.
            let sql = format!(
                "INSERT INTO message_search (rowid, place, {column}) SELECT ?1, ?2, ?3
                 WHERE EXISTS (SELECT 1 FROM event WHERE stream = ?1 AND redacted_by IS NULL)"
            );
            conn.prepare_cached(&sql)?.execute(params![entry.stream, place(entry.room), entry.text])?;
        }
        conn.prepare_cached("UPDATE message_search_now SET indexed_to = max(indexed_to, ?1)")?.execute([self.to])?;
        Ok(())
    }
}

fn search(conn: &Connection, query: &SearchQuery) -> Result<SearchMatches, StoreError> {
    let rooms = room_numbers(conn, &query.rooms)?;
    if rooms.is_empty() {
        return Ok(SearchMatches::default());
    }
    let mut find = conn.prepare_cached(
        "SELECT rowid FROM message_search WHERE message_search MATCH ?1 AND rowid <= ?2 ORDER BY rowid DESC LIMIT ?3",
    )?;
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let streams: Vec<i64> =
        all(&mut find, params![expression(query, &rooms), query.until, limit], |row| Ok(row.get(0)?))?;
    let more = streams.last().filter(|_| streams.len() >= query.limit).map(|last| last.saturating_sub(1));
    let mut events = Vec::with_capacity(streams.len());
    for stream in streams {
        events.extend(found(conn, stream)?);
    }
    Ok(SearchMatches { events, more })
}

/// An event that counts as found.
fn found(conn: &Connection, stream: i64) -> Result<Option<StoredEvent>, StoreError> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS}, r.room_id, r.version FROM event e JOIN room r ON r.id = e.room
         WHERE e.stream = ?1 AND e.status IN (?2, ?3) AND e.redacted_by IS NULL"
    );
    let [accepted, outlier] = [EventStatus::Accepted, EventStatus::Outlier].map(rows::status_code);
    one(&mut conn.prepare_cached(&sql)?, [stream, accepted, outlier], with_room)
}

fn room_numbers(conn: &Connection, rooms: &[RoomId]) -> Result<Vec<i64>, StoreError> {
    let ids: Vec<&str> = rooms.iter().map(RoomId::as_str).collect();
    let ids = serde_json::to_string(&ids).map_err(error::damaged)?;
    let mut find = conn.prepare_cached("SELECT r.id FROM json_each(?1) j CROSS JOIN room r ON r.room_id = j.value")?;
    all(&mut find, [ids], |row| Ok(row.get(0)?))
}

/// The query in the language of FTS5. What people write is in quotes: it has no syntax.
fn expression(query: &SearchQuery, rooms: &[i64]) -> String {
    let places: Vec<String> = rooms.iter().map(|room| place(*room)).collect();
    let columns: Vec<&str> = query.keys.iter().map(|key| column(*key)).collect();
    // FTS5 takes a NUL for the end.
    let quoted = |word: &String| format!("\"{}\"", word.replace('\0', " ").replace('"', "\"\""));
    let words: Vec<String> = query.words.iter().map(quoted).collect();
    format!("place : ({}) AND {{{}}} : ({})", places.join(" OR "), columns.join(" "), words.join(" "))
}

fn place(room: i64) -> String {
    format!("r{room}")
}

fn column(key: SearchKey) -> &'static str {
    match key {
        SearchKey::Body => "body",
        SearchKey::Name => "name",
        SearchKey::Topic => "topic",
    }
}
