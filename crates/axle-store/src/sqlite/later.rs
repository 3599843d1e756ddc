//! Writes that nobody waits for. They are kept here, visible to readers, until they go along with a transaction.

use std::collections::{HashMap, VecDeque};

use axle_protocol::ServerName;
use rusqlite::{Connection, params};

use crate::{InboundResponse, StoreError};

/// How many answers are remembered for each origin and endpoint.
const KEPT_RESPONSES: i64 = 8;

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// How destinations stand, by id: the newest only.
    pub(super) destinations: HashMap<i64, DestinationRow>,
    /// Answers, in order.
    pub(super) responses: VecDeque<ResponseRow>,
}

/// What changes of a destination.
#[derive(Debug, Clone)]
pub(super) struct DestinationRow {
    pub(super) cursor: i64,
    pub(super) failing_since: Option<i64>,
    pub(super) last_error: Option<String>,
}

/// An answer to a transaction.
#[derive(Debug, Clone)]
pub(super) struct ResponseRow {
    pub(super) origin: ServerName,
    pub(super) endpoint: String,
    pub(super) txn_id: String,
    pub(super) response: InboundResponse,
}

impl Later {
    pub(super) fn is_empty(&self) -> bool {
        self.destinations.is_empty() && self.responses.is_empty()
    }

    /// The newest answer to this transaction.
    pub(super) fn response(&self, origin: &ServerName, endpoint: &str, txn_id: &str) -> Option<InboundResponse> {
        let same = |row: &&ResponseRow| row.origin == *origin && row.endpoint == endpoint && row.txn_id == txn_id;
        self.responses.iter().rev().find(same).map(|row| row.response.clone())
    }

    /// Puts older writes, which failed, before these.
    pub(super) fn put_before(&mut self, older: Self) {
        for (id, row) in older.destinations {
            self.destinations.entry(id).or_insert(row);
        }
        for row in older.responses.into_iter().rev() {
            self.responses.push_front(row);
        }
    }

    /// Writes all of it.
    pub(super) fn write(&self, conn: &Connection) -> Result<(), StoreError> {
        for (id, row) in &self.destinations {
            conn.prepare_cached(
                "UPDATE destination SET cursor = ?2, failing_since = ?3, last_error = ?4 WHERE id = ?1",
            )?
            .execute(params![id, row.cursor, row.failing_since, row.last_error])?;
        }
        self.responses.iter().try_for_each(|row| write_response(conn, row))
    }
}

fn write_response(conn: &Connection, row: &ResponseRow) -> Result<(), StoreError> {
    let origin = row.origin.as_str();
    conn.prepare_cached(
        "INSERT INTO inbound_response (origin, endpoint, txn_id, status, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![origin, row.endpoint, row.txn_id, row.response.status, row.response.body])?;
    conn.prepare_cached(
        "DELETE FROM inbound_response WHERE origin = ?1 AND endpoint = ?2 AND id <= (SELECT id FROM inbound_response
             WHERE origin = ?1 AND endpoint = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
    )?
    .execute(params![origin, row.endpoint, KEPT_RESPONSES])?;
    Ok(())
}
