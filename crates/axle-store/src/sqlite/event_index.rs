//! Finding events by id and by LPDU hash.
//!
//! Hashes fall anywhere in an index. In a large database nearly every event would change a page of its own in each
//! index on hashes, and writing those pages would cost more than everything else an append does. So new entries stay in
//! memory, in a generation; when it is full it is merged into the index in the order of its keys, a slice with each
//! transaction, while the next one fills. A merged page then takes many entries at once. What memory holds is read
//! again from the log when the store is opened.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axle_protocol::EventId;
use axle_protocol::event::Hash;
use rusqlite::{Connection, params};

use super::rows::{all, integer, one};
use crate::StoreError;

/// A generation is full with an eighth of all entries, but not before the one and not after the other.
const MIN_GENERATION: usize = 8 * 1024;
const MAX_GENERATION: usize = 128 * 1024;
/// Entries are merged in slices of at least so many.
const SLICE: usize = 1024;

/// A key and the stream position of the event that has it. Keys are not unique: who looks up compares the event.
type Entry = (i64, i64);

/// The key of an event id: the first sixty bits of the hash.
pub(super) fn id_key(event_id: &EventId) -> i64 {
    let sextet = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    event_id.as_str().bytes().skip(1).take(10).fold(0, |key, byte| key << 6 | i64::from(sextet(byte)))
}

/// The key of an LPDU hash.
pub(super) fn lpdu_key(hash: &Hash) -> i64 {
    hash.iter().take(7).fold(0, |key, byte| key << 8 | i64::from(*byte))
}

/// Entries that came after one another; only the newest generation gets more.
type Generation = Arc<Mutex<BTreeSet<Entry>>>;

/// What is to be looked up beside the index itself. To be taken before a read transaction begins: entries go from a
/// generation only by the whole of it being dropped, after a commit, and whoever has taken it keeps it.
#[derive(Clone, Default)]
pub(super) struct View {
    filling: Generation,
    merging: Option<Generation>,
}

impl View {
    /// Stream positions at which an event with this key may be.
    pub(super) fn candidates(&self, conn: &Connection, key: i64) -> Result<Vec<i64>, StoreError> {
        let mut found =
            all(
                &mut conn.prepare_cached("SELECT stream FROM event_key WHERE key = ?1")?,
                [key],
                |row| Ok(row.get(0)?),
            )?;
        for generation in std::iter::once(&self.filling).chain(&self.merging) {
            found.extend(lock(generation).range((key, i64::MIN)..=(key, i64::MAX)).map(|entry| entry.1));
        }
        Ok(found)
    }
}

/// The entries that are not in the index, for everyone.
#[derive(Default)]
pub(super) struct EventIndex {
    view: Mutex<View>,
    /// The last stream position that was read from the log.
    loaded_to: AtomicI64,
}

impl EventIndex {
    /// What to look up in.
    pub(super) fn view(&self) -> View {
        lock(&self.view).clone()
    }

    /// Adds the entry of an event that is being stored. Until it is committed whoever finds it finds no such event.
    pub(super) fn add(&self, entry: Entry) {
        lock(&lock(&self.view).filling).insert(entry);
    }

    /// Takes entries back: the transaction failed.
    pub(super) fn take_back(&self, entries: &[Entry]) {
        let view = self.view();
        let mut filling = lock(&view.filling);
        for entry in entries {
            filling.remove(entry);
        }
    }

    /// Reads the entries of events that another process has stored meanwhile.
    pub(super) fn catch_up(&self, conn: &Connection) -> Result<(), StoreError> {
        self.load(conn, self.loaded_to.load(Ordering::Acquire).max(indexed_to(conn)?))
    }

    /// Reads the entries of events beyond a stream position from the log.
    pub(super) fn load(&self, conn: &Connection, after: i64) -> Result<(), StoreError> {
        let view = self.view();
        let mut filling = lock(&view.filling);
        let mut read = conn.prepare_cached("SELECT stream, event_id, lpdu_hash FROM event WHERE stream > ?1")?;
        let mut rows = read.query([after])?;
        while let Some(row) = rows.next()? {
            let stream = row.get(0)?;
            self.loaded_to.fetch_max(stream, Ordering::AcqRel);
            filling.insert((id_key(&super::rows::id(row, 1)?), stream));
            if let Some(hash) = row.get::<_, Option<Hash>>(2)? {
                filling.insert((lpdu_key(&hash), stream));
            }
        }
        Ok(())
    }
}

/// The last stream position whose event is in the index.
pub(super) fn indexed_to(conn: &Connection) -> Result<i64, StoreError> {
    Ok(integer(conn, "SELECT indexed_to FROM event_index", [])?.unwrap_or(0))
}

/// An event, wherever it is.
pub(super) struct Found {
    pub(super) stream: i64,
    pub(super) room: i64,
    pub(super) position: Option<i64>,
    pub(super) status: i64,
}

/// The event with an id.
pub(super) fn find(conn: &Connection, view: &View, event_id: &EventId) -> Result<Option<Found>, StoreError> {
    for stream in view.candidates(conn, id_key(event_id))? {
        let sql = "SELECT stream, room, position, status FROM event WHERE stream = ?1 AND event_id = ?2";
        let found = one(&mut conn.prepare_cached(sql)?, params![stream, event_id.as_str()], |row| {
            Ok(Found { stream: row.get(0)?, room: row.get(1)?, position: row.get(2)?, status: row.get(3)? })
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The event of a room that carries an LPDU, and whether it was rejected.
pub(super) fn find_lpdu(
    conn: &Connection,
    view: &View,
    room: i64,
    hash: &Hash,
) -> Result<Option<(EventId, bool)>, StoreError> {
    for stream in view.candidates(conn, lpdu_key(hash))? {
        let sql = "SELECT event_id, status = 2 FROM event WHERE stream = ?1 AND room = ?2 AND lpdu_hash = ?3";
        let found = one(&mut conn.prepare_cached(sql)?, params![stream, room, hash], |row| {
            Ok((super::rows::id(row, 0)?, row.get(1)?))
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Moves entries from memory into the index. The writer's.
#[derive(Default)]
pub(super) struct Merger {
    /// The last entry that was merged of the generation that is being merged.
    done: Option<Entry>,
    /// Of that generation, the last stream position.
    merging_to: i64,
    /// How many entries came since the last slice.
    arrived: usize,
}

/// A slice that was merged, as soon as its transaction commits.
pub(super) enum Merged {
    Nothing,
    UpTo(Entry),
    Everything,
}

impl Merger {
    /// Merges a slice, if one is due.
    pub(super) fn merge(&self, conn: &Connection, index: &EventIndex) -> Result<Merged, StoreError> {
        let Some(generation) = index.view().merging else { return Ok(Merged::Nothing) };
        // Twice as many as arrive: a generation is merged before the next is full.
        let due = 2 * self.arrived;
        if due < SLICE {
            return Ok(Merged::Nothing);
        }
        let generation = lock(&generation);
        let mut insert = conn.prepare_cached("INSERT OR IGNORE INTO event_key (key, stream) VALUES (?1, ?2)")?;
        let from = self.done.map_or((i64::MIN, i64::MIN), |(key, stream)| (key, stream + 1));
        let mut slice = generation.range(from..).peekable();
        let mut last = self.done;
        for entry in slice.by_ref().take(due) {
            insert.execute([entry.0, entry.1])?;
            last = Some(*entry);
        }
        if slice.peek().is_none() {
            conn.prepare_cached("UPDATE event_index SET indexed_to = ?1")?.execute([self.merging_to])?;
            return Ok(Merged::Everything);
        }
        Ok(last.map_or(Merged::Nothing, Merged::UpTo))
    }

    /// The transaction is committed: it added so many entries, the last at this stream position.
    pub(super) fn committed(&mut self, index: &EventIndex, merged: Merged, added: usize, stream: i64) {
        self.arrived += added;
        let mut view = lock(&index.view);
        match merged {
            Merged::Nothing => {}
            Merged::UpTo(entry) => {
                self.done = Some(entry);
                self.arrived = 0;
            }
            Merged::Everything => {
                view.merging = None;
                self.done = None;
                self.arrived = 0;
            }
        }
        let total = usize::try_from(stream).unwrap_or(usize::MAX);
        let full = (total / 4).clamp(MIN_GENERATION, MAX_GENERATION);
        if view.merging.is_none() && lock(&view.filling).len() >= full {
            view.merging = Some(std::mem::take(&mut view.filling));
            self.merging_to = stream;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
