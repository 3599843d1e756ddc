//! EDUs that other servers are still to get.

use async_trait::async_trait;
use axle_protocol::ServerName;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::rows::{all, id};
use crate::{EduQueues, MAX_EDUS_PER_DESTINATION, NewEdu, PendingEdu, StoreError};

#[async_trait]
impl EduQueues for SqliteStore {
    async fn edu_destinations(&self) -> Result<Vec<ServerName>, StoreError> {
        self.read(|conn| all(&mut conn.prepare_cached("SELECT DISTINCT destination FROM edu")?, [], |row| id(row, 0)))
            .await
    }

    async fn pending_edus(
        &self,
        destination: &ServerName,
        after: i64,
        limit: usize,
    ) -> Result<Vec<PendingEdu>, StoreError> {
        let destination = destination.clone();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |conn| {
            let sql = "SELECT id, json FROM edu WHERE destination = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
            all(&mut conn.prepare_cached(sql)?, params![destination.as_str(), after, limit], |row| {
                Ok(PendingEdu { id: row.get(0)?, json: row.get(1)? })
            })
        })
        .await
    }

    async fn remove_edus(&self, destination: &ServerName, until: i64) -> Result<(), StoreError> {
        let destination = destination.clone();
        self.write(move |tx| {
            tx.conn
                .prepare_cached("DELETE FROM edu WHERE destination = ?1 AND id <= ?2")?
                .execute(params![destination.as_str(), until])?;
            Ok(())
        })
        .await
    }
}

/// Queues EDUs in their order.
pub(super) fn queue(conn: &Connection, edus: &[NewEdu]) -> Result<(), StoreError> {
    for edu in edus {
        // It gets a new place, at the end: what went out before it was replaced is another one.
        conn.prepare_cached("DELETE FROM edu WHERE destination = ?1 AND subject = ?2")?
            .execute(params![edu.destination.as_str(), edu.subject])?;
        conn.prepare_cached("INSERT INTO edu (destination, subject, json) VALUES (?1, ?2, ?3)")?.execute(params![
            edu.destination.as_str(),
            edu.subject,
            edu.json
        ])?;
    }
    let mut destinations: Vec<&ServerName> = edus.iter().map(|edu| &edu.destination).collect();
    destinations.sort();
    destinations.dedup();
    let mut forget_oldest = conn.prepare_cached(
        "DELETE FROM edu WHERE destination = ?1 AND id <=
             (SELECT id FROM edu WHERE destination = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )?;
    for destination in destinations {
        forget_oldest.execute(params![destination.as_str(), MAX_EDUS_PER_DESTINATION as i64])?;
    }
    Ok(())
}
