//! Events that are sent later.

use async_trait::async_trait;
use axle_protocol::UserId;
use rusqlite::{Row, params};

use super::SqliteStore;
use super::rows::{self, all, integer, one};
use super::writer::Tx;
use crate::{
    ClientTxnKey, DelayedEvent, DelayedEvents, DelayedOutcome, FinishedDelayedEvent, MAX_DELAYED_EVENTS_PER_USER,
    MAX_FINISHED_DELAYED_EVENTS_PER_USER, PutDelayedEvent, StoreError,
};

/// What [`event`] reads.
const COLUMNS: &str = "delay_id, user_id, room_id, event_type, state_key, content, delay_ms, running_since";

#[async_trait]
impl DelayedEvents for SqliteStore {
    async fn put_delayed_event(
        &self,
        event: DelayedEvent,
        txn: Option<ClientTxnKey>,
    ) -> Result<PutDelayedEvent, StoreError> {
        self.write(move |tx| put(tx, &event, txn.as_ref())).await
    }

    async fn delayed_event(&self, delay_id: &str) -> Result<Option<DelayedEvent>, StoreError> {
        let delay_id = delay_id.to_owned();
        self.read(move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM delayed_event WHERE delay_id = ?1 AND due_ts IS NOT NULL");
            one(&mut conn.prepare_cached(&sql)?, [&delay_id], event)
        })
        .await
    }

    async fn delayed_events(&self, user_id: &UserId) -> Result<Vec<DelayedEvent>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| {
            let sql =
                format!("SELECT {COLUMNS} FROM delayed_event WHERE user_id = ?1 AND finished_ts IS NULL ORDER BY id");
            all(&mut conn.prepare_cached(&sql)?, [user_id.as_str()], event)
        })
        .await
    }

    async fn finished_delayed_events(&self, user_id: &UserId) -> Result<Vec<FinishedDelayedEvent>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| {
            let sql = format!(
                "SELECT {COLUMNS}, finished_ts, event_id, error FROM delayed_event
                 WHERE user_id = ?1 AND finished_ts IS NOT NULL ORDER BY finished_ts DESC, id DESC"
            );
            all(&mut conn.prepare_cached(&sql)?, [user_id.as_str()], finished)
        })
        .await
    }

    async fn restart_delayed_event(&self, delay_id: &str, now: i64) -> Result<bool, StoreError> {
        let delay_id = delay_id.to_owned();
        self.write(move |tx| {
            let sql = "UPDATE delayed_event SET running_since = ?2, due_ts = ?2 + delay_ms
                       WHERE delay_id = ?1 AND due_ts IS NOT NULL";
            Ok(tx.conn.prepare_cached(sql)?.execute(params![delay_id, now])? == 1)
        })
        .await
    }

    async fn postpone_delayed_event(&self, delay_id: &str, until: i64) -> Result<(), StoreError> {
        let delay_id = delay_id.to_owned();
        self.write(move |tx| {
            // Who restarted it meanwhile has the last word.
            let sql = "UPDATE delayed_event SET due_ts = max(due_ts, ?2) WHERE delay_id = ?1 AND due_ts IS NOT NULL";
            tx.conn.prepare_cached(sql)?.execute(params![delay_id, until])?;
            Ok(())
        })
        .await
    }

    async fn finish_delayed_event(
        &self,
        delay_id: &str,
        outcome: DelayedOutcome,
        now: i64,
    ) -> Result<bool, StoreError> {
        let delay_id = delay_id.to_owned();
        self.write(move |tx| finish(tx, &delay_id, &outcome, now)).await
    }

    async fn due_delayed_events(&self, now: i64, limit: usize) -> Result<Vec<DelayedEvent>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM delayed_event WHERE due_ts <= ?1 ORDER BY due_ts, id LIMIT ?2");
            all(&mut conn.prepare_cached(&sql)?, [now, limit], event)
        })
        .await
    }

    async fn next_delayed_event(&self) -> Result<Option<i64>, StoreError> {
        self.read(|conn| {
            let sql = "SELECT due_ts FROM delayed_event WHERE due_ts IS NOT NULL ORDER BY due_ts LIMIT 1";
            integer(conn, sql, [])
        })
        .await
    }
}

fn put(tx: &Tx<'_>, event: &DelayedEvent, txn: Option<&ClientTxnKey>) -> Result<PutDelayedEvent, StoreError> {
    if let Some(txn) = txn {
        let mut known = tx.conn.prepare_cached(
            "SELECT delay_id FROM delayed_event WHERE user_id = ?1 AND device_id = ?2 AND scope = ?3 AND txn_id = ?4",
        )?;
        let key = [txn.user_id.as_str(), &txn.device_id, &txn.scope, &txn.txn_id];
        if let Some(known) = one(&mut known, key, |row| Ok(row.get(0)?))? {
            return Ok(PutDelayedEvent::Known(known));
        }
    }
    let count = "SELECT count(*) FROM delayed_event WHERE user_id = ?1 AND finished_ts IS NULL";
    let count = integer(tx.conn, count, [event.user_id.as_str()])?.unwrap_or(0);
    if usize::try_from(count).is_ok_and(|count| count >= MAX_DELAYED_EVENTS_PER_USER) {
        return Ok(PutDelayedEvent::Full);
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO delayed_event (delay_id, user_id, room_id, event_type, state_key, content, delay_ms,
                 running_since, due_ts, device_id, scope, txn_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            event.delay_id,
            event.user_id.as_str(),
            event.room_id.as_str(),
            event.event_type,
            event.state_key,
            event.content,
            event.delay_ms,
            event.running_since,
            event.running_since.saturating_add(event.delay_ms),
            txn.map(|txn| &txn.device_id),
            txn.map(|txn| &txn.scope),
            txn.map(|txn| &txn.txn_id)
        ])?;
    Ok(PutDelayedEvent::Scheduled)
}

fn finish(tx: &Tx<'_>, delay_id: &str, outcome: &DelayedOutcome, now: i64) -> Result<bool, StoreError> {
    let (event_id, error) = match outcome {
        DelayedOutcome::Sent(event_id) => (Some(event_id.as_str()), None),
        DelayedOutcome::Cancelled => (None, None),
        DelayedOutcome::Failed(error) => (None, Some(error.as_str())),
    };
    let sql = "UPDATE delayed_event SET due_ts = NULL, finished_ts = ?2, event_id = ?3, error = ?4
               WHERE delay_id = ?1 AND due_ts IS NOT NULL";
    if tx.conn.prepare_cached(sql)?.execute(params![delay_id, now, event_id, error])? == 0 {
        return Ok(false);
    }
    let kept = i64::try_from(MAX_FINISHED_DELAYED_EVENTS_PER_USER).unwrap_or(i64::MAX);
    tx.conn
        .prepare_cached(
            "DELETE FROM delayed_event WHERE id IN
                 (SELECT id FROM delayed_event
                  WHERE user_id = (SELECT user_id FROM delayed_event WHERE delay_id = ?1) AND finished_ts IS NOT NULL
                  ORDER BY finished_ts DESC, id DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![delay_id, kept])?;
    Ok(true)
}

fn event(row: &Row<'_>) -> Result<DelayedEvent, StoreError> {
    Ok(DelayedEvent {
        delay_id: row.get(0)?,
        user_id: rows::id(row, 1)?,
        room_id: rows::id(row, 2)?,
        event_type: row.get(3)?,
        state_key: row.get(4)?,
        content: row.get(5)?,
        delay_ms: row.get(6)?,
        running_since: row.get(7)?,
    })
}

fn finished(row: &Row<'_>) -> Result<FinishedDelayedEvent, StoreError> {
    let is_sent = row.get::<_, Option<String>>(9)?.is_some();
    let outcome = match row.get::<_, Option<String>>(10)? {
        Some(error) => DelayedOutcome::Failed(error),
        None if is_sent => DelayedOutcome::Sent(rows::id(row, 9)?),
        None => DelayedOutcome::Cancelled,
    };
    Ok(FinishedDelayedEvent { event: event(row)?, outcome, at: row.get(8)? })
}
