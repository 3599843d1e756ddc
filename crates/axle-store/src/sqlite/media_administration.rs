//! What administrators see and do of media.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;
use rusqlite::params;

use super::SqliteStore;
use super::error::damaged;
use super::media::in_column;
use super::remote_media::{is_uploaded_or_fetched, remove_thumbnails};
use super::rows::{self, all, integer, one};
use crate::{FoundMedia, MediaAdministration, MediaContent, MediaUsage, RemovedMedia, StoreError, UploadedMedia};

#[async_trait]
impl MediaAdministration for SqliteStore {
    async fn media_of(&self, uploader: &UserId, offset: usize, limit: usize) -> Result<FoundMedia, StoreError> {
        let uploader = uploader.clone();
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT m.media_id, m.created_ts, m.hash, m.size, m.content_type, m.file_name, q.by_user
                 FROM media m LEFT JOIN quarantined_content q ON q.hash = m.hash
                 WHERE m.uploader = ?1 AND m.hash IS NOT NULL
                 ORDER BY m.created_ts DESC, m.media_id LIMIT ?2 OFFSET ?3",
            )?;
            let media = all(&mut find, params![uploader.as_str(), count(limit), count(offset)], |row| {
                let content = MediaContent {
                    hash: rows::hash(row, 2)?,
                    size: rows::count(row, 3)?,
                    content_type: row.get(4)?,
                    file_name: row.get(5)?,
                };
                Ok(UploadedMedia {
                    media_id: row.get(0)?,
                    created_ts: row.get(1)?,
                    content,
                    quarantined_by: row.get(6)?,
                })
            })?;
            let sql = "SELECT count(*) FROM media WHERE uploader = ?1 AND hash IS NOT NULL";
            let total = integer(conn, sql, [uploader.as_str()])?.unwrap_or(0);
            Ok(FoundMedia { media, total: u64::try_from(total).map_err(damaged)? })
        })
        .await
    }

    async fn media_usage(&self, from_ts: i64, until_ts: Option<i64>) -> Result<Vec<MediaUsage>, StoreError> {
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT m.uploader, p.displayname, count(*), sum(m.size)
                 FROM media m LEFT JOIN profile p ON p.user_id = m.uploader
                 WHERE m.hash IS NOT NULL AND m.created_ts BETWEEN ?1 AND ?2
                 GROUP BY m.uploader ORDER BY m.uploader",
            )?;
            all(&mut find, params![from_ts, until_ts.unwrap_or(i64::MAX)], |row| {
                Ok(MediaUsage {
                    uploader: rows::id(row, 0)?,
                    displayname: row.get(1)?,
                    count: rows::count(row, 2)?,
                    bytes: rows::count(row, 3)?,
                })
            })
        })
        .await
    }

    async fn old_media(
        &self,
        before_ts: i64,
        larger_than: u64,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let (after, larger_than) = (after.to_owned(), in_column(larger_than)?);
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT media_id FROM media
                 WHERE media_id > ?1 AND hash IS NOT NULL AND created_ts < ?2 AND size > ?3
                 ORDER BY media_id LIMIT ?4",
            )?;
            all(&mut find, params![after, before_ts, larger_than, count(limit)], |row| Ok(row.get(0)?))
        })
        .await
    }

    async fn avatars(&self) -> Result<Vec<String>, StoreError> {
        self.read(|conn| {
            let mut find = conn.prepare_cached("SELECT avatar_url FROM profile WHERE avatar_url IS NOT NULL")?;
            all(&mut find, [], |row| Ok(row.get(0)?))
        })
        .await
    }

    async fn remove_media(&self, media_ids: Vec<String>) -> Result<RemovedMedia, StoreError> {
        self.write(move |tx| {
            let mut removed = RemovedMedia::default();
            for media_id in &media_ids {
                let mut delete = tx
                    .conn
                    .prepare_cached("DELETE FROM media WHERE media_id = ?1 AND hash IS NOT NULL RETURNING hash")?;
                let Some(hash) = one(&mut delete, [media_id], |row| rows::hash(row, 0))? else { continue };
                removed.media_ids.push(media_id.clone());
                if !is_uploaded_or_fetched(tx.conn, &hash)? {
                    removed.content.extend(remove_thumbnails(tx.conn, &hash)?);
                    removed.content.push(hash);
                }
            }
            Ok(removed)
        })
        .await
    }

    async fn quarantine(&self, content: &Hash, by: &UserId, at: i64) -> Result<bool, StoreError> {
        let (content, by) = (*content, by.clone());
        self.write(move |tx| {
            let sql = "INSERT OR IGNORE INTO quarantined_content (hash, by_user, at) VALUES (?1, ?2, ?3)";
            Ok(tx.conn.prepare_cached(sql)?.execute(params![content, by.as_str(), at])? == 1)
        })
        .await
    }

    async fn end_quarantine(&self, content: &Hash) -> Result<(), StoreError> {
        let content = *content;
        self.write(move |tx| {
            tx.conn.prepare_cached("DELETE FROM quarantined_content WHERE hash = ?1")?.execute([content])?;
            Ok(())
        })
        .await
    }

    async fn is_quarantined(&self, content: &Hash) -> Result<bool, StoreError> {
        let content = *content;
        self.read(move |conn| {
            let sql = "SELECT EXISTS (SELECT 1 FROM quarantined_content WHERE hash = ?1)";
            Ok(integer(conn, sql, [content])? == Some(1))
        })
        .await
    }
}

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}
