//! Queues towards other servers.

use std::sync::Arc;

use async_trait::async_trait;
use axle_protocol::event::Hash;
use axle_protocol::{RoomId, ServerName};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqliteStore;
use super::append::{OPEN, last_stream};
use super::destinations::{Destination, Pending};
use super::error::damaged;
use super::event_index::find_lpdu;
use super::rows::{self, all, integer, one};
use super::writer::Tx;
use crate::{
    Announcement, ClientTxnKey, Delivery, DestinationStatus, InboundResponse, ParkedEvent, PendingEvent, PendingLpdu,
    StoreError,
};

/// Whether event `e` is for destination `?1`.
const IS_FOR: &str = "EXISTS (SELECT 1 FROM delivery d WHERE d.destination = ?1 AND d.room = e.room
    AND d.after < e.position AND e.position <= d.until)";
/// What stands in the index that is looked through.
const LOOK_THROUGH: &str = "event e INDEXED BY event_to_deliver
    WHERE e.stream > ?2 AND e.position IS NOT NULL AND e.status <= 1";
const COLUMNS: &str = "e.stream, e.event_id, (SELECT room_id FROM room WHERE id = e.room), e.json";

#[async_trait]
impl Delivery for SqliteStore {
    async fn pending_destinations(&self) -> Result<Vec<ServerName>, StoreError> {
        let survey = self.inner.shared.destinations().survey(1);
        let mut pending = Vec::new();
        for (status, id, found) in survey {
            let any = match found {
                Pending::Known(streams) => !streams.is_empty(),
                Pending::LookUp(start) => self.first_beyond(&status.destination, id, start).await?,
            };
            if any {
                pending.push(status.destination);
            }
        }
        Ok(pending)
    }

    async fn pending_events(
        &self,
        destination: &ServerName,
        after: i64,
        limit: usize,
    ) -> Result<Vec<PendingEvent>, StoreError> {
        let known = |found: &mut Destination| (found.id, found.pending(after, limit));
        let Some((id, pending)) = self.inner.shared.destinations().find(destination).map(known) else {
            return Ok(Vec::new());
        };
        match pending {
            Pending::Known(streams) if streams.is_empty() => Ok(Vec::new()),
            Pending::Known(streams) => {
                let fresh = self.inner.shared.fresh().get(&streams);
                match fresh {
                    Some(events) => Ok(events),
                    None => self.known_events(destination, id, streams).await,
                }
            }
            Pending::LookUp(start) => self.look_up(destination, id, start, limit).await,
        }
    }

    fn acknowledge(&self, destination: &ServerName, stream: i64) {
        self.advance(destination, stream);
    }

    fn record_attempt(&self, destination: &ServerName, at: i64, error: Option<String>) {
        self.change_destination(destination, |found| {
            let failing_since = error.as_ref().map(|_| found.row.failing_since.unwrap_or(at));
            let changed = failing_since != found.row.failing_since || error != found.row.last_error;
            found.row.failing_since = failing_since;
            found.row.last_error = error;
            changed
        });
    }

    async fn park(&self, parked: ParkedEvent) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.conn
                .prepare_cached(
                    "INSERT OR REPLACE INTO parked (destination, event_id, reason, at) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![parked.destination.as_str(), parked.event_id.as_str(), parked.reason, parked.at])?;
            Ok(())
        })
        .await
    }

    async fn parked(&self) -> Result<Vec<ParkedEvent>, StoreError> {
        self.read(|conn| {
            let mut find = conn.prepare_cached("SELECT destination, event_id, reason, at FROM parked ORDER BY id")?;
            all(&mut find, [], |row| {
                let (destination, event_id) = (rows::id(row, 0)?, rows::id(row, 1)?);
                Ok(ParkedEvent { destination, event_id, reason: row.get(2)?, at: row.get(3)? })
            })
        })
        .await
    }

    async fn destinations(&self) -> Result<Vec<DestinationStatus>, StoreError> {
        let survey = self.inner.shared.destinations().survey(usize::MAX);
        self.read(move |conn| {
            let mut statuses = Vec::with_capacity(survey.len());
            for (mut status, id, pending) in survey {
                status.pending = match pending {
                    Pending::Known(streams) => streams.len() as u64,
                    Pending::LookUp(start) => count_beyond(conn, id, start)?,
                };
                statuses.push(status);
            }
            for (hub, lpdus) in lpdus_by_hub(conn)? {
                DestinationStatus::add_lpdus(&mut statuses, hub, lpdus);
            }
            Ok(statuses)
        })
        .await
    }

    async fn destination_rooms(&self, destination: &ServerName) -> Result<Vec<(RoomId, i64)>, StoreError> {
        let destination = destination.clone();
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT r.room_id, r.newest_stream FROM destination t
                 JOIN delivery d ON d.destination = t.id AND d.until = ?2 JOIN room_now r ON r.id = d.room
                 WHERE t.name = ?1 ORDER BY r.room_id",
            )?;
            all(&mut find, params![destination.as_str(), OPEN], |row| Ok((rows::id(row, 0)?, row.get(1)?)))
        })
        .await
    }

    async fn queue_lpdu(&self, lpdu: PendingLpdu) -> Result<i64, StoreError> {
        self.write(move |tx| queue_lpdu(tx, &lpdu)).await
    }

    async fn pending_lpdus(&self, room_id: Option<&RoomId>) -> Result<Vec<PendingLpdu>, StoreError> {
        let room_id = room_id.cloned();
        self.read(move |conn| match &room_id {
            Some(room_id) => {
                let sql = "SELECT id, room_id, lpdu_hash, json, client_txn FROM pending_lpdu
                           WHERE room_id = ?1 ORDER BY id";
                all(&mut conn.prepare_cached(sql)?, [room_id.as_str()], pending_lpdu)
            }
            None => {
                let sql = "SELECT id, room_id, lpdu_hash, json, client_txn FROM pending_lpdu ORDER BY id";
                all(&mut conn.prepare_cached(sql)?, [], pending_lpdu)
            }
        })
        .await
    }

    async fn refuse_lpdu(&self, lpdu_hash: &Hash, reason: &str) -> Result<(), StoreError> {
        let (hash, reason) = (*lpdu_hash, reason.to_owned());
        self.write(move |tx| {
            super::accounts::refuse_txn(tx.conn, &hash, &reason)?;
            remove_lpdu(tx.conn, &hash)
        })
        .await
    }

    async fn announcement_destinations(&self) -> Result<Vec<ServerName>, StoreError> {
        self.read(|conn| {
            all(&mut conn.prepare_cached("SELECT DISTINCT destination FROM announcement")?, [], |row| rows::id(row, 0))
        })
        .await
    }

    async fn announcements(&self, destination: &ServerName, limit: usize) -> Result<Vec<Announcement>, StoreError> {
        let destination = destination.clone();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |conn| {
            let sql = "SELECT event_id FROM announcement WHERE destination = ?1 ORDER BY id LIMIT ?2";
            all(&mut conn.prepare_cached(sql)?, params![destination.as_str(), limit], |row| {
                Ok(Announcement { destination: destination.clone(), event_id: rows::id(row, 0)? })
            })
        })
        .await
    }

    async fn announced(&self, announcement: &Announcement) -> Result<(), StoreError> {
        let Announcement { destination, event_id } = announcement.clone();
        self.write(move |tx| {
            tx.conn
                .prepare_cached("DELETE FROM announcement WHERE destination = ?1 AND event_id = ?2")?
                .execute([destination.as_str(), event_id.as_str()])?;
            Ok(())
        })
        .await
    }

    async fn inbound_response(
        &self,
        origin: &ServerName,
        endpoint: &str,
        txn_id: &str,
    ) -> Result<Option<InboundResponse>, StoreError> {
        if let Some(response) = self.unwritten_response(origin, endpoint, txn_id) {
            return Ok(Some(response));
        }
        let (origin, endpoint, txn_id) = (origin.clone(), endpoint.to_owned(), txn_id.to_owned());
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT status, body FROM inbound_response WHERE origin = ?1 AND endpoint = ?2 AND txn_id = ?3
                 ORDER BY id DESC LIMIT 1",
            )?;
            one(&mut find, params![origin.as_str(), endpoint, txn_id], |row| {
                Ok(InboundResponse { status: row.get(0)?, body: row.get(1)? })
            })
        })
        .await
    }

    fn record_inbound(&self, origin: &ServerName, endpoint: &str, txn_id: &str, response: InboundResponse) {
        self.later(|later| later.responses.add(origin, endpoint, txn_id, response));
    }
}

impl SqliteStore {
    /// Reads events that are thought to be pending. Those that no longer are, are forgotten.
    async fn known_events(
        &self,
        destination: &ServerName,
        id: i64,
        streams: Vec<i64>,
    ) -> Result<Vec<PendingEvent>, StoreError> {
        let (events, gone) = self
            .read(move |conn| {
                let sql = format!("SELECT {COLUMNS} FROM event e WHERE e.stream = ?2 AND {IS_FOR}");
                let mut find = conn.prepare_cached(&sql)?;
                let (mut events, mut gone) = (Vec::with_capacity(streams.len()), Vec::new());
                for stream in streams {
                    match one(&mut find, [id, stream], pending_event)? {
                        Some(event) => events.push(event),
                        None => gone.push(stream),
                    }
                }
                Ok((events, gone))
            })
            .await?;
        if !gone.is_empty()
            && let Some(found) = self.inner.shared.destinations().find(destination)
        {
            found.forget(&gone);
        }
        Ok(events)
    }

    /// Looks through the log beyond a stream position.
    async fn look_up(
        &self,
        destination: &ServerName,
        id: i64,
        start: i64,
        limit: usize,
    ) -> Result<Vec<PendingEvent>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (events, end) = self
            .read(move |conn| {
                let sql = format!("SELECT {COLUMNS} FROM {LOOK_THROUGH} AND {IS_FOR} ORDER BY e.stream LIMIT ?3");
                let events = all(&mut conn.prepare_cached(&sql)?, [id, start, limit], pending_event)?;
                Ok((events, last_stream(conn)?))
            })
            .await?;
        self.nothing_between(destination, start, events.first().map_or(end, |event| event.stream - 1));
        Ok(events)
    }

    /// Whether anything is pending beyond a stream position.
    async fn first_beyond(&self, destination: &ServerName, id: i64, start: i64) -> Result<bool, StoreError> {
        let (first, end) = self
            .read(move |conn| {
                let sql = format!("SELECT e.stream FROM {LOOK_THROUGH} AND {IS_FOR} ORDER BY e.stream LIMIT 1");
                Ok((integer(conn, &sql, [id, start])?, last_stream(conn)?))
            })
            .await?;
        self.nothing_between(destination, start, first.map_or(end, |first| first - 1));
        Ok(first.is_some())
    }

    /// Spares later look-ups what was found to be empty; only if it begins at the cursor.
    fn nothing_between(&self, destination: &ServerName, start: i64, end: i64) {
        self.change_destination(destination, |found| found.row.cursor >= start && found.advance(end));
    }

    fn advance(&self, destination: &ServerName, cursor: i64) {
        self.change_destination(destination, |found| found.advance(cursor));
    }

    /// Changes a destination, and has that written if it says that there is something to write.
    fn change_destination(&self, destination: &ServerName, change: impl FnOnce(&mut Destination) -> bool) {
        let mut all = self.inner.shared.destinations();
        let Some(found) = all.find(destination) else { return };
        if change(found) {
            // Still under the lock, so that an older state never overwrites a newer one.
            self.later(|later| {
                later.destinations.insert(found.id, found.row.clone());
            });
        }
    }

    pub(super) fn unwritten_response(
        &self,
        origin: &ServerName,
        endpoint: &str,
        txn_id: &str,
    ) -> Option<InboundResponse> {
        let state = self.inner.shared.later_state();
        state.waiting.responses.find(origin, endpoint, txn_id).or_else(|| state.writing.find(origin, endpoint, txn_id))
    }
}

/// The append that an LPDU was for is being stored: answers its client and takes it out of the queue.
pub(super) fn settle_lpdu(tx: &Tx<'_>, room: i64, hash: &Hash) -> Result<(), StoreError> {
    let conn = tx.conn;
    match find_lpdu(conn, &tx.events, room, hash)? {
        Some((event_id, false)) => super::accounts::answer_txn(conn, hash, &event_id)?,
        Some((_, true)) | None => super::accounts::refuse_txn(conn, hash, "the event was rejected")?,
    }
    remove_lpdu(conn, hash)
}

/// Stores that a server is to be told of an invite.
pub(super) fn announce(conn: &Connection, announcement: &Announcement) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT OR IGNORE INTO announcement (destination, event_id) VALUES (?1, ?2)")?
        .execute([announcement.destination.as_str(), announcement.event_id.as_str()])?;
    Ok(())
}

fn remove_lpdu(conn: &Connection, hash: &Hash) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM pending_lpdu WHERE lpdu_hash = ?1")?.execute([hash])?;
    Ok(())
}

fn queue_lpdu(tx: &Tx<'_>, lpdu: &PendingLpdu) -> Result<i64, StoreError> {
    let mut find = tx.conn.prepare_cached("SELECT id FROM pending_lpdu WHERE lpdu_hash = ?1")?;
    if let Some(id) = find.query_row([lpdu.lpdu_hash], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    let txn = lpdu.client_txn.as_ref().map(serde_json::to_string).transpose();
    let txn = txn.map_err(|error| StoreError::Invalid(error.to_string()))?;
    tx.conn
        .prepare_cached("INSERT INTO pending_lpdu (room_id, lpdu_hash, json, client_txn) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![lpdu.room_id.as_str(), lpdu.lpdu_hash, lpdu.json, txn])?;
    let id = tx.conn.last_insert_rowid();
    if let Some(key) = &lpdu.client_txn {
        super::accounts::await_txn(tx.conn, key, &lpdu.room_id, &lpdu.lpdu_hash)?;
    }
    Ok(id)
}

fn pending_lpdu(row: &Row<'_>) -> Result<PendingLpdu, StoreError> {
    let txn = row.get_ref(4)?.as_str_or_null().map_err(damaged)?;
    let client_txn: Option<ClientTxnKey> = txn.map(serde_json::from_str).transpose().map_err(damaged)?;
    Ok(PendingLpdu {
        id: row.get(0)?,
        room_id: rows::id(row, 1)?,
        lpdu_hash: rows::hash(row, 2)?,
        json: row.get(3)?,
        client_txn,
    })
}

fn pending_event(row: &Row<'_>) -> Result<PendingEvent, StoreError> {
    let json: Arc<str> = row.get(3)?;
    Ok(PendingEvent { stream: row.get(0)?, event_id: rows::id(row, 1)?, room_id: rows::id(row, 2)?, json })
}

fn lpdus_by_hub(conn: &Connection) -> Result<Vec<(ServerName, u64)>, StoreError> {
    let sql = "SELECT json ->> '$.hub_server' AS hub, count(*) FROM pending_lpdu WHERE hub IS NOT NULL GROUP BY hub";
    all(&mut conn.prepare_cached(sql)?, [], |row| Ok((rows::id(row, 0)?, row.get::<_, i64>(1)?.unsigned_abs())))
}

fn count_beyond(conn: &Connection, id: i64, start: i64) -> Result<u64, StoreError> {
    let sql = format!("SELECT count(*) FROM {LOOK_THROUGH} AND {IS_FOR}");
    Ok(integer(conn, &sql, [id, start])?.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}
