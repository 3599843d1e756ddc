//! The conditional append.

use rusqlite::{Connection, params};

use super::event_index::{Found, find, find_lpdu};
use super::rows::{self, RoomRow, integer, status_code};
use super::state::{self, Place};
use super::writer::Tx;
use super::{relations, search};
use crate::{Append, Appended, DeliveryChange, EventStatus, NewEvent, PendingEvent, StoreError};

/// `delivery.until` of an interval without an end.
pub(super) const OPEN: i64 = i64::MAX;

/// The last stream position that was given out.
pub(super) fn last_stream(conn: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT max(coalesce((SELECT max(stream) FROM event), 0), stream) FROM stream_floor";
    Ok(integer(conn, sql, [])?.unwrap_or(0))
}

/// Stores an append, or finds that it may not be stored.
pub(super) fn append(tx: &mut Tx<'_>, append: &Append) -> Result<Appended, StoreError> {
    let found = rows::room_now(tx.conn, &append.room_id)?;
    let head = found.as_ref().and_then(|room| room.head);
    if head != append.expected_head {
        return Err(StoreError::HeadMoved {
            room_id: append.room_id.to_string(),
            expected: append.expected_head,
            actual: head,
        });
    }
    if let Some(room) = found.as_ref().filter(|_| append.lpdus_unasked) {
        check_lpdus(tx, append, room.id)?;
    }
    let room = match found {
        Some(room) => room,
        None => create_room(tx, append)?,
    };
    let (state_id, cursor) = (room.state_id, tx.effects.stream);
    let mut appending = Appending { append, head, room, state_id, cursor, placed: Vec::new(), only_inserted: true };
    let mut streams = Vec::with_capacity(append.events.len());
    for (index, event) in append.events.iter().enumerate() {
        streams.push(appending.store(tx, index, event)?);
    }
    appending.mark_gaps(tx)?;
    appending.update_room(tx)?;
    for change in &append.deliveries {
        appending.change_delivery(tx, change)?;
    }
    appending.deliver(tx)?;
    for txn in &append.client_txns {
        super::accounts::finish_txn(tx.conn, &txn.key, &txn.event_id)?;
    }
    for announcement in &append.announcements {
        super::delivery::announce(tx.conn, announcement)?;
    }
    for group in &append.groups {
        super::groups::put(tx, appending.room.id, group)?;
    }
    for hash in &append.settled_lpdus {
        super::delivery::settle_lpdu(tx, appending.room.id, hash)?;
    }
    Ok(Appended { streams })
}

fn check_lpdus(tx: &Tx<'_>, append: &Append, room: i64) -> Result<(), StoreError> {
    for hash in append.events.iter().filter_map(|event| event.lpdu_hash.as_ref()) {
        if let Some((event_id, _)) = find_lpdu(tx.conn, &tx.events, room, hash)? {
            let (room_id, event_id) = (append.room_id.to_string(), event_id.to_string());
            return Err(StoreError::LpduKnown { room_id, event_id });
        }
    }
    Ok(())
}

fn create_room(tx: &Tx<'_>, append: &Append) -> Result<RoomRow, StoreError> {
    tx.conn
        .prepare_cached("INSERT INTO room (room_id, version, newest_stream, events) VALUES (?1, ?2, ?3, 0)")?
        .execute(params![append.room_id.as_str(), append.room_version.as_str(), tx.effects.stream])?;
    let id = tx.conn.last_insert_rowid();
    let (version, newest_stream) = (append.room_version, tx.effects.stream);
    Ok(RoomRow { id, version, head: None, newest_stream, state_id: None, events: 0 })
}

/// An event that got its place in this append.
struct Placed {
    /// Which of [`Append::events`] it is.
    index: usize,
    position: i64,
    stream: i64,
    delivered: bool,
}

struct Appending<'a> {
    append: &'a Append,
    /// Before the append.
    head: Option<i64>,
    room: RoomRow,
    /// The state that the room's row has.
    state_id: Option<i64>,
    /// The last stream position before the append.
    cursor: i64,
    placed: Vec<Placed>,
    /// Whether all events so far were new.
    only_inserted: bool,
}

impl Appending<'_> {
    /// Stores one event; returns its stream position.
    fn store(&mut self, tx: &mut Tx<'_>, index: usize, event: &NewEvent) -> Result<i64, StoreError> {
        if let Some(known) = self.find(tx, event)? {
            self.only_inserted = false;
            return self.store_again(tx, index, event, &known);
        }
        let stream = self.insert(tx, event)?;
        if tx.effects.pending_redactions {
            redact_from_pending(tx, self.room.id, event, stream)?;
        }
        self.after_store(tx, index, event, stream, stream)?;
        Ok(stream)
    }

    fn find(&self, tx: &Tx<'_>, event: &NewEvent) -> Result<Option<Found>, StoreError> {
        // What is believed in operation is checked in tests.
        if self.append.made_here && !cfg!(debug_assertions) {
            return Ok(None);
        }
        let known = find(tx.conn, &tx.events, &event.event_id)?;
        if self.append.made_here && known.is_some() {
            return Err(StoreError::Invalid(format!("{} is not new", event.event_id)));
        }
        Ok(known)
    }

    fn insert(&self, tx: &mut Tx<'_>, event: &NewEvent) -> Result<i64, StoreError> {
        let stream = tx.next_stream();
        tx.conn
            .prepare_cached(
                "INSERT INTO event (stream, room, position, status, event_id, lpdu_hash, json)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                stream,
                self.room.id,
                event.position,
                status_code(event.status),
                event.event_id.as_str(),
                event.lpdu_hash,
                event.json,
            ])?;
        tx.index(event, stream);
        Ok(stream)
    }

    fn store_again(
        &mut self,
        tx: &mut Tx<'_>,
        index: usize,
        event: &NewEvent,
        known: &Found,
    ) -> Result<i64, StoreError> {
        if known.room != self.room.id {
            return Err(StoreError::Invalid(format!("{} is an event of another room", event.event_id)));
        }
        if known.position.is_some() {
            // Stays. Only what it does to current state is new, if anything.
            let change_stream = if event.sets_state { tx.next_stream() } else { known.stream };
            // State that a join brings may be an event of an earlier stay.
            let place = self.place(index, known.position.filter(|_| !event.sets_state));
            state::record(tx, &mut self.room, event, known.stream, place, change_stream)?;
            return Ok(known.stream);
        }
        let live = event.position.is_some_and(|position| self.is_live(position));
        let stream = if live { tx.next_stream() } else { known.stream };
        if live || event.position.is_some() || known.status != status_code(event.status) {
            tx.conn
                .prepare_cached("UPDATE event SET stream = ?2, position = ?3, status = ?4 WHERE stream = ?1")?
                .execute(params![known.stream, stream, event.position, status_code(event.status)])?;
        }
        if live {
            tx.index(event, stream);
            state::follow(tx.conn, self.room.id, event, known.stream, stream)?;
        }
        let change_stream = if live || !event.sets_state { stream } else { tx.next_stream() };
        self.after_store(tx, index, event, stream, change_stream)?;
        Ok(stream)
    }

    fn after_store(
        &mut self,
        tx: &mut Tx<'_>,
        index: usize,
        event: &NewEvent,
        stream: i64,
        change_stream: i64,
    ) -> Result<(), StoreError> {
        if let Some(position) = event.position {
            let delivered = matches!(event.status, EventStatus::Accepted | EventStatus::SoftFailed);
            self.placed.push(Placed { index, position, stream, delivered });
        }
        if let Some(relation) = &event.relates_to {
            relations::record(tx.conn, self.room.id, event, relation, stream)?;
        }
        if let Some(target) = &event.redacts {
            redact(tx, self.room.id, target, event)?;
        }
        if event.state_key.is_some() {
            let place = self.place(index, event.position);
            state::record(tx, &mut self.room, event, stream, place, change_stream)?;
        }
        Ok(())
    }

    fn is_live(&self, position: i64) -> bool {
        self.head.is_none_or(|head| position > head)
    }

    /// Where in the room's order the event of this index takes effect.
    fn place(&self, index: usize, position: Option<i64>) -> Place {
        if let Some(position) = position {
            return Place { holds_from: position.saturating_add(1), history: !self.is_live(position) };
        }
        // State that comes with a join holds from the first event after it, and before there is one, from ever.
        let following = self.append.events.iter().skip(index).find_map(|event| event.position);
        let next = self.head.map_or(i64::MIN, |head| head + 1);
        let holds_from = following.filter(|position| self.is_live(*position)).unwrap_or(next);
        Place { holds_from, history: false }
    }

    /// Remembers jumps in the room's order: a check takes any other jump for a loss.
    fn mark_gaps(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        self.placed.sort_by_key(|placed| placed.position);
        for run in self.placed.chunk_by(|a, b| a.position + 1 == b.position) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            if self.head.is_none_or(|head| first.position != head + 1) {
                mark_around(tx.conn, self.room.id, first.position, last.position)?;
            }
        }
        Ok(())
    }

    fn update_room(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let room = &mut self.room;
        room.head = room.head.max(self.placed.iter().map(|placed| placed.position).max());
        room.events += i64::try_from(self.placed.len()).unwrap_or(i64::MAX);
        if tx.effects.stream > self.cursor {
            room.newest_stream = tx.effects.stream;
            tx.effects.rooms.push((room.id, room.newest_stream));
        }
        if self.tells_itself() {
            return Ok(());
        }
        let room = &self.room;
        tx.conn
            .prepare_cached(
                "UPDATE room SET counted_to = ?2, newest_stream = ?3, state_id = ?4, events = ?5 WHERE id = ?1",
            )?
            .execute(params![room.id, room.head, room.newest_stream, room.state_id, room.events])?;
        Ok(())
    }

    /// Whether the log's end tells all that this append changed, so that the room's row need not be written.
    fn tells_itself(&self) -> bool {
        let Some(head) = self.head else { return false };
        let in_line = (head + 1..).zip(&self.placed).all(|(position, placed)| position == placed.position);
        let by_stream = self.placed.is_sorted_by_key(|placed| placed.stream);
        let all_placed = self.placed.len() == self.append.events.len();
        self.only_inserted && all_placed && in_line && by_stream && self.room.state_id == self.state_id
    }

    fn change_delivery(&self, tx: &mut Tx<'_>, change: &DeliveryChange) -> Result<(), StoreError> {
        match change {
            DeliveryChange::Start { destination, after } => {
                let id = self.destination(tx, destination)?;
                let open = "SELECT 1 FROM delivery WHERE room = ?1 AND until = ?2 AND destination = ?3";
                if integer(tx.conn, open, [self.room.id, OPEN, id])?.is_some() {
                    return Ok(());
                }
                if self.head.is_some_and(|head| *after < head) {
                    // The destination's cursor may be beyond those events: they would be skipped in silence.
                    return Err(StoreError::Invalid(format!(
                        "delivery to {destination} cannot start at {after}, before the room's head"
                    )));
                }
                tx.conn
                    .prepare_cached(
                        "INSERT OR IGNORE INTO delivery (room, until, destination, after) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute([self.room.id, OPEN, id, *after])?;
            }
            DeliveryChange::Stop { destination, at } => {
                let id = self.destination(tx, destination)?;
                tx.conn
                    .prepare_cached(
                        "UPDATE OR REPLACE delivery SET until = ?4 WHERE room = ?1 AND until = ?2 AND destination = ?3",
                    )?
                    .execute([self.room.id, OPEN, id, *at])?;
                tx.effects.stopped.push(self.append.room_id.clone());
            }
        }
        Ok(())
    }

    fn destination(&self, tx: &mut Tx<'_>, name: &axle_protocol::ServerName) -> Result<i64, StoreError> {
        if let Some(id) = integer(tx.conn, "SELECT id FROM destination WHERE name = ?1", [name.as_str()])? {
            return Ok(id);
        }
        tx.conn
            .prepare_cached("INSERT INTO destination (name, cursor) VALUES (?1, ?2)")?
            .execute(params![name.as_str(), self.cursor])?;
        let id = tx.conn.last_insert_rowid();
        tx.effects.new_destinations.push((name.clone(), id, self.cursor));
        Ok(id)
    }

    /// Finds out who gets what, for those who keep up.
    fn deliver(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Some(first) = self.placed.iter().filter(|placed| placed.delivered).map(|placed| placed.position).min()
        else {
            return Ok(());
        };
        self.placed.sort_by_key(|placed| placed.stream);
        let mut intervals =
            tx.conn.prepare_cached("SELECT destination, after, until FROM delivery WHERE room = ?1 AND until >= ?2")?;
        let mut found = intervals.query([self.room.id, first])?;
        let mut delivered = false;
        while let Some(row) = found.next()? {
            let (destination, after, until): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let within = |placed: &&Placed| placed.delivered && after < placed.position && placed.position <= until;
            let streams = self.placed.iter().filter(within).map(|placed| (destination, placed.stream));
            tx.effects.deliveries.extend(streams);
            delivered = true;
        }
        if delivered {
            let events = self.placed.iter().filter(|placed| placed.delivered).filter_map(|placed| self.pending(placed));
            tx.effects.fresh.extend(events);
        }
        Ok(())
    }

    /// A placed event as destinations get it.
    fn pending(&self, placed: &Placed) -> Option<PendingEvent> {
        let event = self.append.events.get(placed.index)?;
        Some(PendingEvent {
            stream: placed.stream,
            event_id: event.event_id.clone(),
            room_id: self.append.room_id.clone(),
            json: event.json.clone(),
        })
    }
}

/// Brings the marks of what is missing before and after a run of positions up to date.
fn mark_around(conn: &Connection, room: i64, first: i64, last: i64) -> Result<(), StoreError> {
    let below = "SELECT max(position) FROM event WHERE room = ?1 AND position < ?2";
    let above = "SELECT min(position) FROM event WHERE room = ?1 AND position > ?2";
    conn.prepare_cached("DELETE FROM gap WHERE room = ?1 AND after < ?2 AND before > ?2")?.execute([room, first])?;
    let mut mark = conn.prepare_cached("INSERT OR IGNORE INTO gap (room, after, before) VALUES (?1, ?2, ?3)")?;
    if let Some(below) = integer(conn, below, [room, first])?.filter(|below| below + 1 < first) {
        mark.execute([room, below, first])?;
    }
    if let Some(above) = integer(conn, above, [room, last])?.filter(|above| last + 1 < *above) {
        mark.execute([room, last, above])?;
    }
    Ok(())
}

/// Marks the target of a redaction, now or when it arrives. The first redaction stays.
fn redact(tx: &mut Tx<'_>, room: i64, target: &axle_protocol::EventId, redaction: &NewEvent) -> Result<(), StoreError> {
    let by = redaction.event_id.as_str();
    match find(tx.conn, &tx.events, target)? {
        None => {
            tx.effects.pending_redactions = true;
            tx.conn
                .prepare_cached(
                    "INSERT OR IGNORE INTO pending_redaction (target, redacted_by, room) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![target.as_str(), by, room])?;
        }
        Some(known) if known.room == room => {
            tx.conn
                .prepare_cached("UPDATE event SET redacted_by = ?2 WHERE stream = ?1 AND redacted_by IS NULL")?
                .execute(params![known.stream, by])?;
            relations::forget(tx.conn, known.stream)?;
            search::forget(tx.conn, known.stream)?;
        }
        Some(_) => {}
    }
    Ok(())
}

/// Applies a redaction that came before its target.
fn redact_from_pending(tx: &Tx<'_>, room: i64, event: &NewEvent, stream: i64) -> Result<(), StoreError> {
    let target = event.event_id.as_str();
    tx.conn
        .prepare_cached(
            "UPDATE event SET redacted_by = pending.redacted_by
             FROM (SELECT redacted_by FROM pending_redaction WHERE target = ?1 AND room = ?2 LIMIT 1) AS pending
             WHERE stream = ?3",
        )?
        .execute(params![target, room, stream])?;
    tx.conn.prepare_cached("DELETE FROM pending_redaction WHERE target = ?1")?.execute([target])?;
    Ok(())
}
