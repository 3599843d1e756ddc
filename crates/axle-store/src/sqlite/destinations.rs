//! What each destination is still to get, as far as it is known without looking into the database.
//!
//! The truth is in the log and the delivery intervals. Kept in memory are, for each destination, the stream position up
//! to which nothing is pending (its cursor) and the stream positions appended since the store was opened, up to a limit.
//! So a destination that keeps up costs a few bytes an event, and one that is down costs no memory.

use std::collections::{HashMap, VecDeque};

use axle_protocol::ServerName;
use rusqlite::Connection;

use super::later::DestinationRow;
use super::rows;
use super::writer::Effects;
use crate::{DestinationStatus, StoreError};

/// So many stream positions are kept for a destination; what comes before them is looked up.
const MAX_RECENT: usize = 1024;

/// A destination.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) id: i64,
    pub(super) row: DestinationRow,
    /// What is pending beyond `complete_from`.
    recent: VecDeque<i64>,
    /// `recent` has everything beyond this stream position.
    complete_from: i64,
}

/// Where to find what is pending.
#[derive(Debug)]
pub(super) enum Pending {
    /// These, and no others up to the limit asked for.
    Known(Vec<i64>),
    /// To be looked up in the log beyond this stream position.
    LookUp(i64),
}

impl Destination {
    fn new(id: i64, row: DestinationRow, complete_from: i64) -> Self {
        Self { id, row, recent: VecDeque::new(), complete_from }
    }

    /// What is pending beyond `after`, at most `limit`.
    pub(super) fn pending(&self, after: i64, limit: usize) -> Pending {
        let start = after.max(self.row.cursor);
        if start < self.complete_from {
            return Pending::LookUp(start);
        }
        let first = self.recent.partition_point(|stream| *stream <= start);
        Pending::Known(self.recent.iter().skip(first).take(limit).copied().collect())
    }

    /// Nothing is pending up to here. `false`: that was known.
    pub(super) fn advance(&mut self, cursor: i64) -> bool {
        while self.recent.front().is_some_and(|stream| *stream <= cursor) {
            self.recent.pop_front();
        }
        let moved = cursor > self.row.cursor;
        self.row.cursor = self.row.cursor.max(cursor);
        moved
    }

    /// Takes out what turned out not to be pending: the destination left the room in the meantime.
    pub(super) fn forget(&mut self, streams: &[i64]) {
        self.recent.retain(|stream| !streams.contains(stream));
    }

    fn push(&mut self, stream: i64) {
        self.recent.push_back(stream);
        if self.recent.len() > MAX_RECENT
            && let Some(dropped) = self.recent.pop_front()
        {
            self.complete_from = dropped;
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    by_id: HashMap<i64, Destination>,
    ids: HashMap<ServerName, i64>,
}

impl Destinations {
    /// Reads them when the store is opened; `stream`: the last stream position in it.
    pub(super) fn load(conn: &Connection, stream: i64) -> Result<Self, StoreError> {
        let mut loaded = Self::default();
        let mut read = conn.prepare_cached("SELECT id, name, cursor, failing_since, last_error FROM destination")?;
        rows::all(&mut read, [], |row| {
            let state = DestinationRow { cursor: row.get(2)?, failing_since: row.get(3)?, last_error: row.get(4)? };
            loaded.insert(rows::id(row, 1)?, Destination::new(row.get(0)?, state, stream));
            Ok(())
        })?;
        Ok(loaded)
    }

    pub(super) fn find(&mut self, name: &ServerName) -> Option<&mut Destination> {
        self.by_id.get_mut(self.ids.get(name)?)
    }

    /// Takes over what a transaction did.
    pub(super) fn committed(&mut self, effects: &Effects) {
        for (name, id, cursor) in &effects.new_destinations {
            let row = DestinationRow { cursor: *cursor, failing_since: None, last_error: None };
            self.insert(name.clone(), Destination::new(*id, row, *cursor));
        }
        for (destination, stream) in &effects.deliveries {
            if let Some(destination) = self.by_id.get_mut(destination) {
                destination.push(*stream);
            }
        }
    }

    /// Every destination with what is pending for it.
    pub(super) fn survey(&self, limit: usize) -> Vec<(DestinationStatus, i64, Pending)> {
        let each = |(name, id): (&ServerName, &i64)| {
            let destination = self.by_id.get(id)?;
            let status = DestinationStatus {
                destination: name.clone(),
                pending: 0,
                acknowledged: destination.row.cursor,
                failing_since: destination.row.failing_since,
                last_error: destination.row.last_error.clone(),
            };
            Some((status, *id, destination.pending(0, limit)))
        };
        let mut all: Vec<_> = self.ids.iter().filter_map(each).collect();
        all.sort_by(|a, b| a.0.destination.cmp(&b.0.destination));
        all
    }

    fn insert(&mut self, name: ServerName, destination: Destination) {
        self.ids.insert(name, destination.id);
        self.by_id.insert(destination.id, destination);
    }
}
