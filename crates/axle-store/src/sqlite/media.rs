//! Media of this server.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::error::damaged;
use super::remote_media::is_uploaded_or_fetched;
use super::rows::{self, integer, one};
use super::thumbnail;
use super::writer::Tx;
use crate::{Media, MediaContent, MediaItem, MediaState, MediaThumbnail, MediaUploaded, StoreError};

#[async_trait]
impl Media for SqliteStore {
    async fn put_media(
        &self,
        media_id: &str,
        uploader: &UserId,
        created_ts: i64,
        content: MediaContent,
        quota: Option<u64>,
    ) -> Result<bool, StoreError> {
        let (media_id, uploader) = (media_id.to_owned(), uploader.clone());
        self.write(move |tx| {
            refuse_taken(tx.conn, &media_id)?;
            if is_over(tx.conn, uploader.as_str(), content.size, quota)? {
                return Ok(false);
            }
            tx.conn
                .prepare_cached(
                    "INSERT INTO media (media_id, uploader, created_ts, hash, size, content_type, file_name)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    media_id,
                    uploader.as_str(),
                    created_ts,
                    content.hash,
                    in_column(content.size)?,
                    content.content_type,
                    content.file_name
                ])?;
            Ok(true)
        })
        .await
    }

    async fn reserve_media(
        &self,
        media_id: &str,
        uploader: &UserId,
        created_ts: i64,
        expires_ts: i64,
        most: u64,
    ) -> Result<bool, StoreError> {
        let (media_id, uploader) = (media_id.to_owned(), uploader.clone());
        self.write(move |tx| {
            refuse_taken(tx.conn, &media_id)?;
            tx.conn
                .prepare_cached("DELETE FROM media WHERE uploader = ?1 AND expires_ts <= ?2")?
                .execute(params![uploader.as_str(), created_ts])?;
            let sql = "SELECT count(*) FROM media WHERE uploader = ?1 AND expires_ts > ?2";
            let reserved = integer(tx.conn, sql, params![uploader.as_str(), created_ts])?.unwrap_or(0);
            if u64::try_from(reserved).map_err(damaged)? >= most {
                return Ok(false);
            }
            tx.conn
                .prepare_cached(
                    "INSERT INTO media (media_id, uploader, created_ts, expires_ts) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![media_id, uploader.as_str(), created_ts, expires_ts])?;
            Ok(true)
        })
        .await
    }

    async fn complete_media(
        &self,
        media_id: &str,
        content: MediaContent,
        quota: Option<u64>,
    ) -> Result<MediaUploaded, StoreError> {
        let media_id = media_id.to_owned();
        self.write(move |tx| complete(tx, &media_id, &content, quota)).await
    }

    async fn media(&self, media_id: &str) -> Result<Option<MediaItem>, StoreError> {
        let media_id = media_id.to_owned();
        self.read(move |conn| find(conn, &media_id)).await
    }

    async fn thumbnail(&self, of: &Hash, size: &str) -> Result<Option<MediaThumbnail>, StoreError> {
        let (of, size) = (*of, size.to_owned());
        self.read(move |conn| thumbnail::find(conn, &of, &size)).await
    }

    async fn put_thumbnail(&self, of: &Hash, size: &str, thumbnail: MediaThumbnail) -> Result<(), StoreError> {
        let (of, size) = (*of, size.to_owned());
        self.write(move |tx| thumbnail::put(tx.conn, &of, &size, &thumbnail)).await
    }

    async fn is_content_kept(&self, hash: &Hash) -> Result<bool, StoreError> {
        let hash = *hash;
        self.read(move |conn| {
            let sql = "SELECT EXISTS (SELECT 1 FROM media_thumbnail WHERE hash = ?1)";
            Ok(is_uploaded_or_fetched(conn, &hash)? || integer(conn, sql, [hash])? == Some(1))
        })
        .await
    }

    async fn media_bytes(&self, uploader: &UserId) -> Result<u64, StoreError> {
        let uploader = uploader.clone();
        self.read(move |conn| bytes_of(conn, uploader.as_str())).await
    }
}

fn complete(
    tx: &Tx<'_>,
    media_id: &str,
    content: &MediaContent,
    quota: Option<u64>,
) -> Result<MediaUploaded, StoreError> {
    let Some(item) = find(tx.conn, media_id)? else { return Ok(MediaUploaded::Unknown) };
    if matches!(item.state, MediaState::Uploaded(_)) {
        return Ok(MediaUploaded::TakenBefore);
    }
    if is_over(tx.conn, item.uploader.as_str(), content.size, quota)? {
        return Ok(MediaUploaded::OverQuota);
    }
    tx.conn
        .prepare_cached(
            "UPDATE media SET expires_ts = NULL, hash = ?2, size = ?3, content_type = ?4, file_name = ?5
             WHERE media_id = ?1",
        )?
        .execute(params![media_id, content.hash, in_column(content.size)?, content.content_type, content.file_name])?;
    Ok(MediaUploaded::Kept)
}

fn find(conn: &Connection, media_id: &str) -> Result<Option<MediaItem>, StoreError> {
    let mut find = conn.prepare_cached(
        "SELECT media_id, uploader, created_ts, expires_ts, hash, size, content_type, file_name
         FROM media WHERE media_id = ?1",
    )?;
    one(&mut find, [media_id], |row| {
        Ok(MediaItem {
            media_id: row.get(0)?,
            uploader: rows::id(row, 1)?,
            created_ts: row.get(2)?,
            state: state(row)?,
        })
    })
}

fn state(row: &Row<'_>) -> Result<MediaState, StoreError> {
    Ok(match row.get(3)? {
        Some(expires_ts) => MediaState::Reserved(expires_ts),
        None => MediaState::Uploaded(MediaContent {
            hash: rows::hash(row, 4)?,
            size: rows::count(row, 5)?,
            content_type: row.get(6)?,
            file_name: row.get(7)?,
        }),
    })
}

fn refuse_taken(conn: &Connection, media_id: &str) -> Result<(), StoreError> {
    match find(conn, media_id)? {
        Some(_) => Err(StoreError::Exists(format!("the media id {media_id}"))),
        None => Ok(()),
    }
}

/// Whether so many bytes more are too many.
fn is_over(conn: &Connection, uploader: &str, more: u64, quota: Option<u64>) -> Result<bool, StoreError> {
    match quota {
        Some(quota) => Ok(bytes_of(conn, uploader)?.saturating_add(more) > quota),
        None => Ok(false),
    }
}

fn bytes_of(conn: &Connection, uploader: &str) -> Result<u64, StoreError> {
    let sum = integer(conn, "SELECT sum(size) FROM media WHERE uploader = ?1", [uploader])?;
    u64::try_from(sum.unwrap_or(0)).map_err(damaged)
}

pub(super) fn in_column(size: u64) -> Result<i64, StoreError> {
    i64::try_from(size).map_err(|error| StoreError::Invalid(format!("a size of {size} bytes: {error}")))
}
