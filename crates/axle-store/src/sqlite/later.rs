//! Writes that nobody waits for. They are kept here, visible to readers, until they go along with a transaction.

use std::collections::{HashMap, VecDeque};

use axle_protocol::ServerName;
use rusqlite::{Connection, params};

use crate::{InboundResponse, StoreError};

/// How many answers are remembered for each origin and endpoint.
const KEPT_RESPONSES: usize = 8;

/// Whose answers: origin and endpoint.
type Line = (ServerName, String);

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// How destinations stand, by id: the newest only.
    pub(super) destinations: HashMap<i64, DestinationRow>,
    /// Answers, in order: the newest only.
    pub(super) responses: Responses,
}

/// Answers to transactions.
#[derive(Debug, Default, Clone)]
pub(super) struct Responses(HashMap<Line, VecDeque<ResponseRow>>);

/// What changes of a destination.
#[derive(Debug, Clone)]
pub(super) struct DestinationRow {
    pub(super) cursor: i64,
    pub(super) failing_since: Option<i64>,
    pub(super) last_error: Option<String>,
}

#[derive(Debug, Clone)]
struct ResponseRow {
    txn_id: String,
    response: InboundResponse,
}

impl Later {
    pub(super) fn is_empty(&self) -> bool {
        self.destinations.is_empty() && self.responses.0.is_empty()
    }

    /// Puts older writes, which failed, before these.
    pub(super) fn put_before(&mut self, older: Self) {
        for (id, row) in older.destinations {
            self.destinations.entry(id).or_insert(row);
        }
        self.responses.put_before(older.responses);
    }

    /// Writes all of it.
    pub(super) fn write(&self, conn: &Connection) -> Result<(), StoreError> {
        for (id, row) in &self.destinations {
            conn.prepare_cached(
                "UPDATE destination SET cursor = ?2, failing_since = ?3, last_error = ?4 WHERE id = ?1",
            )?
            .execute(params![id, row.cursor, row.failing_since, row.last_error])?;
        }
        self.responses.0.iter().try_for_each(|(line, rows)| write_responses(conn, line, rows))
    }
}

impl Responses {
    /// Adds an answer. Those that it makes superfluous go.
    pub(super) fn add(&mut self, origin: &ServerName, endpoint: &str, txn_id: &str, response: InboundResponse) {
        let rows = self.0.entry((origin.clone(), endpoint.to_owned())).or_default();
        rows.push_back(ResponseRow { txn_id: txn_id.to_owned(), response });
        if rows.len() > KEPT_RESPONSES {
            rows.pop_front();
        }
    }

    /// The newest answer to this transaction.
    pub(super) fn find(&self, origin: &ServerName, endpoint: &str, txn_id: &str) -> Option<InboundResponse> {
        let rows = self.0.get(&(origin.clone(), endpoint.to_owned()))?;
        rows.iter().rev().find(|row| row.txn_id == txn_id).map(|row| row.response.clone())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn put_before(&mut self, older: Self) {
        for (line, mut rows) in older.0 {
            let newer = self.0.entry(line).or_default();
            rows.append(newer);
            rows.drain(..rows.len().saturating_sub(KEPT_RESPONSES));
            *newer = rows;
        }
    }
}

fn write_responses(
    conn: &Connection,
    (origin, endpoint): &Line,
    rows: &VecDeque<ResponseRow>,
) -> Result<(), StoreError> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO inbound_response (origin, endpoint, txn_id, status, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for row in rows {
        insert.execute(params![origin.as_str(), endpoint, row.txn_id, row.response.status, row.response.body])?;
    }
    conn.prepare_cached(
        "DELETE FROM inbound_response WHERE origin = ?1 AND endpoint = ?2 AND id <= (SELECT id FROM inbound_response
             WHERE origin = ?1 AND endpoint = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
    )?
    .execute(params![origin.as_str(), endpoint, KEPT_RESPONSES as i64])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(responses: &mut Responses, numbers: std::ops::Range<usize>) {
        let origin = ServerName::parse("a.test").unwrap();
        for number in numbers {
            let response = InboundResponse { status: 200, body: number.to_string() };
            responses.add(&origin, "send", &number.to_string(), response);
        }
    }

    fn kept(responses: &Responses) -> Vec<String> {
        let rows = responses.0.values().flatten();
        rows.map(|row| row.txn_id.clone()).collect()
    }

    #[test]
    fn the_newest_answers_stay_in_order() {
        let (mut older, mut newer) = (Responses::default(), Responses::default());
        add(&mut older, 0..KEPT_RESPONSES + 2);
        assert_eq!((kept(&older).len(), kept(&older)[0].as_str()), (KEPT_RESPONSES, "2"));
        add(&mut newer, KEPT_RESPONSES + 2..KEPT_RESPONSES + 5);
        newer.put_before(older);
        let expected: Vec<String> = (5..KEPT_RESPONSES + 5).map(|number| number.to_string()).collect();
        assert_eq!(kept(&newer), expected);
    }
}
