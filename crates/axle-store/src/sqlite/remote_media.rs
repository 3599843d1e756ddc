//! Media of other servers.

use async_trait::async_trait;
use axle_protocol::ServerName;
use axle_protocol::event::Hash;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::error::damaged;
use super::media::in_column;
use super::rows::{self, integer, one};
use crate::{MediaContent, RemoteMedia, RemoteMediaAge, RemoteMediaItem, StoreError};

#[async_trait]
impl RemoteMedia for SqliteStore {
    async fn put_remote_media(
        &self,
        server: &ServerName,
        media_id: &str,
        fetched_ts: i64,
        content: MediaContent,
    ) -> Result<(), StoreError> {
        let (server, media_id) = (server.clone(), media_id.to_owned());
        self.write(move |tx| {
            let MediaContent { hash, size, content_type, file_name } = &content;
            tx.conn
                .prepare_cached(
                    "INSERT OR REPLACE INTO remote_media
                         (server, media_id, fetched_ts, accessed_ts, hash, size, content_type, file_name)
                     VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    server.as_str(),
                    media_id,
                    fetched_ts,
                    hash,
                    in_column(*size)?,
                    content_type,
                    file_name
                ])?;
            Ok(())
        })
        .await
    }

    async fn remote_media(&self, server: &ServerName, media_id: &str) -> Result<Option<RemoteMediaItem>, StoreError> {
        let (server, media_id) = (server.clone(), media_id.to_owned());
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT accessed_ts, hash, size, content_type, file_name
                 FROM remote_media WHERE server = ?1 AND media_id = ?2",
            )?;
            one(&mut find, params![server.as_str(), media_id], |row| {
                let content = MediaContent {
                    hash: rows::hash(row, 1)?,
                    size: rows::count(row, 2)?,
                    content_type: row.get(3)?,
                    file_name: row.get(4)?,
                };
                Ok(RemoteMediaItem { accessed_ts: row.get(0)?, content })
            })
        })
        .await
    }

    async fn touch_remote_media(
        &self,
        server: &ServerName,
        media_id: &str,
        accessed_ts: i64,
    ) -> Result<(), StoreError> {
        let (server, media_id) = (server.clone(), media_id.to_owned());
        self.write(move |tx| {
            tx.conn
                .prepare_cached("UPDATE remote_media SET accessed_ts = ?3 WHERE server = ?1 AND media_id = ?2")?
                .execute(params![server.as_str(), media_id, accessed_ts])?;
            Ok(())
        })
        .await
    }

    async fn remote_media_bytes(&self) -> Result<u64, StoreError> {
        self.read(|conn| {
            let sum = integer(conn, "SELECT sum(size) FROM remote_media", [])?;
            u64::try_from(sum.unwrap_or(0)).map_err(damaged)
        })
        .await
    }

    async fn oldest_remote_media(&self, limit: usize) -> Result<Vec<RemoteMediaAge>, StoreError> {
        self.read(move |conn| {
            let mut select = conn.prepare_cached(
                "SELECT server, media_id, accessed_ts, size FROM remote_media
                 ORDER BY accessed_ts, size, server, media_id LIMIT ?1",
            )?;
            rows::all(&mut select, [i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                Ok(RemoteMediaAge {
                    server: rows::id(row, 0)?,
                    media_id: row.get(1)?,
                    accessed_ts: row.get(2)?,
                    size: rows::count(row, 3)?,
                })
            })
        })
        .await
    }

    async fn remove_remote_media(&self, media: Vec<RemoteMediaAge>) -> Result<Vec<Hash>, StoreError> {
        self.write(move |tx| {
            let mut gone = Vec::new();
            for item in &media {
                let mut delete = tx.conn.prepare_cached(
                    "DELETE FROM remote_media WHERE server = ?1 AND media_id = ?2 AND accessed_ts = ?3 RETURNING hash",
                )?;
                let key = params![item.server.as_str(), item.media_id, item.accessed_ts];
                let Some(hash) = one(&mut delete, key, |row| rows::hash(row, 0))? else { continue };
                if !is_uploaded_or_fetched(tx.conn, &hash)? {
                    gone.extend(remove_thumbnails(tx.conn, &hash)?);
                    gone.push(hash);
                }
            }
            Ok(gone)
        })
        .await
    }
}

/// Whether any media of this server or others have this content.
pub(super) fn is_uploaded_or_fetched(conn: &Connection, hash: &Hash) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM media WHERE hash = ?1)
               OR EXISTS (SELECT 1 FROM remote_media WHERE hash = ?1)";
    Ok(integer(conn, sql, [hash])? == Some(1))
}

/// Forgets the thumbnails of some content; theirs.
pub(super) fn remove_thumbnails(conn: &Connection, of: &Hash) -> Result<Vec<Hash>, StoreError> {
    let mut delete = conn.prepare_cached("DELETE FROM media_thumbnail WHERE of_hash = ?1 RETURNING hash")?;
    let hashes = rows::all(&mut delete, [of], |row| match row.get_ref(0)? {
        // There was none.
        ValueRef::Null => Ok(None),
        _ => rows::hash(row, 0).map(Some),
    })?;
    Ok(hashes.into_iter().flatten().collect())
}
