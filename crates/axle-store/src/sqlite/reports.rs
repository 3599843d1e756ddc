//! Reports.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::{SqliteStore, rows};
use crate::{KeptReport, MAX_REPORTS_PER_USER, Report, Reports, StoreError};

/// What [`read`] reads.
const COLUMNS: &str = "reporter, at, room_id, event_id, user_id, reason, id";

#[async_trait]
impl Reports for SqliteStore {
    async fn put_report(&self, report: Report) -> Result<(), StoreError> {
        let kept = i64::try_from(MAX_REPORTS_PER_USER).unwrap_or(i64::MAX);
        self.write(move |tx| {
            tx.conn
                .prepare_cached(
                    "INSERT INTO report (reporter, at, room_id, event_id, user_id, reason)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    report.reporter.as_str(),
                    report.at,
                    report.room_id.as_ref().map(|id| id.as_str()),
                    report.event_id,
                    report.user_id.as_ref().map(|id| id.as_str()),
                    report.reason,
                ])?;
            tx.conn
                .prepare_cached(
                    "DELETE FROM report WHERE reporter = ?1 AND id <= (
                         SELECT id FROM report WHERE reporter = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                )?
                .execute(params![report.reporter.as_str(), kept])?;
            Ok(())
        })
        .await
    }

    async fn reports(&self) -> Result<Vec<KeptReport>, StoreError> {
        self.read(|conn| {
            let sql = format!("SELECT {COLUMNS} FROM report ORDER BY id");
            rows::all(&mut conn.prepare_cached(&sql)?, [], read)
        })
        .await
    }

    async fn report(&self, id: i64) -> Result<Option<KeptReport>, StoreError> {
        self.read(move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM report WHERE id = ?1");
            rows::one(&mut conn.prepare_cached(&sql)?, [id], read)
        })
        .await
    }

    async fn remove_report(&self, id: i64) -> Result<bool, StoreError> {
        self.write(move |tx| Ok(tx.conn.prepare_cached("DELETE FROM report WHERE id = ?1")?.execute([id])? == 1)).await
    }
}

fn read(row: &Row<'_>) -> Result<KeptReport, StoreError> {
    let has = |column| Ok::<_, StoreError>(row.get_ref(column)? != rusqlite::types::ValueRef::Null);
    let report = Report {
        reporter: rows::id(row, 0)?,
        at: row.get(1)?,
        room_id: if has(2)? { Some(rows::id(row, 2)?) } else { None },
        event_id: row.get(3)?,
        user_id: if has(4)? { Some(rows::id(row, 4)?) } else { None },
        reason: row.get(5)?,
    };
    Ok(KeptReport { id: row.get(6)?, report })
}
