//! Previews of URLs.

use async_trait::async_trait;
use rusqlite::params;

use super::SqliteStore;
use super::rows::one;
use crate::{MAX_URL_PREVIEWS, StoreError, UrlPreview, UrlPreviews};

#[async_trait]
impl UrlPreviews for SqliteStore {
    async fn url_preview(&self, url: &str) -> Result<Option<UrlPreview>, StoreError> {
        let url = url.to_owned();
        self.read(move |conn| {
            let mut find = conn.prepare_cached("SELECT fetched_ts, answer, picture FROM url_preview WHERE url = ?1")?;
            one(&mut find, [url], |row| {
                Ok(UrlPreview { fetched_ts: row.get(0)?, answer: row.get(1)?, picture: row.get(2)? })
            })
        })
        .await
    }

    async fn put_url_preview(&self, url: &str, preview: UrlPreview) -> Result<(), StoreError> {
        let url = url.to_owned();
        let kept = i64::try_from(MAX_URL_PREVIEWS).unwrap_or(i64::MAX);
        self.write(move |tx| {
            // Replaced, it has a new number: the highest.
            tx.conn
                .prepare_cached(
                    "INSERT OR REPLACE INTO url_preview (url, fetched_ts, answer, picture) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![url, preview.fetched_ts, preview.answer, preview.picture])?;
            tx.conn
                .prepare_cached("DELETE FROM url_preview WHERE number <= ?1")?
                .execute([tx.conn.last_insert_rowid().saturating_sub(kept)])?;
            Ok(())
        })
        .await
    }
}
