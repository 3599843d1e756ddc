//! Thumbnails of media.

use axle_protocol::event::Hash;
use rusqlite::{Connection, params};

use super::error::damaged;
use super::media::in_column;
use super::rows::{self, one};
use crate::{MediaThumbnail, StoreError};

const TOO_LARGE: &str = "too large";
const NO_PICTURE: &str = "no picture";

pub(super) fn find(conn: &Connection, of: &Hash, size: &str) -> Result<Option<MediaThumbnail>, StoreError> {
    let mut find = conn.prepare_cached(
        "SELECT refusal, hash, bytes, content_type FROM media_thumbnail WHERE of_hash = ?1 AND size = ?2",
    )?;
    one(&mut find, params![of, size], |row| match row.get::<_, Option<String>>(0)?.as_deref() {
        None => Ok(MediaThumbnail::Made {
            hash: rows::hash(row, 1)?,
            size: rows::count(row, 2)?,
            content_type: row.get(3)?,
        }),
        Some(TOO_LARGE) => Ok(MediaThumbnail::TooLarge),
        Some(NO_PICTURE) => Ok(MediaThumbnail::NoPicture),
        Some(other) => Err(damaged(format!("a thumbnail that is {other:?}"))),
    })
}

pub(super) fn put(conn: &Connection, of: &Hash, size: &str, thumbnail: &MediaThumbnail) -> Result<(), StoreError> {
    let (made, refusal) = match thumbnail {
        MediaThumbnail::Made { hash, size, content_type } => (Some((hash, in_column(*size)?, content_type)), None),
        MediaThumbnail::TooLarge => (None, Some(TOO_LARGE)),
        MediaThumbnail::NoPicture => (None, Some(NO_PICTURE)),
    };
    let (hash, bytes, content_type) = (made.map(|made| made.0), made.map(|made| made.1), made.map(|made| made.2));
    conn.prepare_cached(
        "INSERT OR REPLACE INTO media_thumbnail (of_hash, size, hash, bytes, content_type, refusal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![of, size, hash, bytes, content_type, refusal])?;
    Ok(())
}
