//! Backups of room keys.

use async_trait::async_trait;
use axle_protocol::UserId;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::error::damaged;
use super::rows::{self, all, integer, one};
use crate::{BackupKey, KeyBackup, KeyBackups, KeyQuality, PutAuthData, PutBackupKeys, StoreError, WhichKeys};

/// The columns that [`read`] reads.
const COLUMNS: &str = "id, bytes, version, algorithm, auth_data, etag, keys";

/// A backup with what only this store knows of it.
struct Kept {
    id: i64,
    bytes: u64,
    backup: KeyBackup,
}

#[async_trait]
impl KeyBackups for SqliteStore {
    async fn create_key_backup(
        &self,
        user_id: &UserId,
        algorithm: &str,
        auth_data: &str,
        most: usize,
    ) -> Result<Option<i64>, StoreError> {
        let (user_id, algorithm, auth_data) = (user_id.clone(), algorithm.to_owned(), auth_data.to_owned());
        self.write(move |tx| create(tx.conn, &user_id, &algorithm, &auth_data, most)).await
    }

    async fn key_backup(&self, user_id: &UserId, version: Option<i64>) -> Result<Option<KeyBackup>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| Ok(find(conn, &user_id, version)?.map(|kept| kept.backup))).await
    }

    async fn put_key_backup_auth_data(
        &self,
        user_id: &UserId,
        version: i64,
        algorithm: &str,
        auth_data: &str,
    ) -> Result<PutAuthData, StoreError> {
        let (user_id, algorithm, auth_data) = (user_id.clone(), algorithm.to_owned(), auth_data.to_owned());
        self.write(move |tx| {
            let Some(kept) = find(tx.conn, &user_id, Some(version))? else { return Ok(PutAuthData::NoBackup) };
            if kept.backup.algorithm != algorithm {
                return Ok(PutAuthData::OtherAlgorithm);
            }
            tx.conn
                .prepare_cached("UPDATE key_backup SET auth_data = ?2 WHERE id = ?1")?
                .execute(params![kept.id, auth_data])?;
            Ok(PutAuthData::Stored)
        })
        .await
    }

    async fn remove_key_backup(&self, user_id: &UserId, version: i64) -> Result<bool, StoreError> {
        let user_id = user_id.clone();
        self.write(move |tx| {
            let Some(kept) = find(tx.conn, &user_id, Some(version))? else {
                return Ok((1..=last_version(tx.conn, &user_id)?).contains(&version));
            };
            tx.conn.prepare_cached("DELETE FROM backup_key WHERE backup = ?1")?.execute([kept.id])?;
            tx.conn.prepare_cached("DELETE FROM key_backup WHERE id = ?1")?.execute([kept.id])?;
            Ok(true)
        })
        .await
    }

    async fn put_backup_keys(
        &self,
        user_id: &UserId,
        version: i64,
        keys: Vec<BackupKey>,
        most_bytes: u64,
    ) -> Result<PutBackupKeys, StoreError> {
        let user_id = user_id.clone();
        self.write(move |tx| put(tx.conn, &user_id, version, &keys, most_bytes)).await
    }

    async fn backup_keys(
        &self,
        user_id: &UserId,
        version: i64,
        which: WhichKeys,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Result<Option<Vec<BackupKey>>, StoreError> {
        let user_id = user_id.clone();
        // No room has an empty id.
        let after = after.unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |conn| {
            let Some(kept) = find(conn, &user_id, Some(version))? else { return Ok(None) };
            let sql = format!(
                "SELECT room_id, session_id, is_verified, first_message_index, forwarded_count, json FROM backup_key
                 WHERE {} AND (room_id, session_id) > (?4, ?5) ORDER BY room_id, session_id LIMIT ?6",
                condition(&which)
            );
            let (room_id, session_id) = which.place();
            let key = params![kept.id, room_id, session_id, after.0, after.1, limit];
            all(&mut conn.prepare_cached(&sql)?, key, read_key).map(Some)
        })
        .await
    }

    async fn remove_backup_keys(
        &self,
        user_id: &UserId,
        version: i64,
        which: WhichKeys,
    ) -> Result<Option<KeyBackup>, StoreError> {
        let user_id = user_id.clone();
        self.write(move |tx| {
            let Some(kept) = find(tx.conn, &user_id, Some(version))? else { return Ok(None) };
            let sql = format!(
                "DELETE FROM backup_key WHERE {} RETURNING length(CAST(room_id || session_id || json AS BLOB))",
                condition(&which)
            );
            let (room_id, session_id) = which.place();
            let mut remove = tx.conn.prepare_cached(&sql)?;
            let removed = all(&mut remove, params![kept.id, room_id, session_id], |row| rows::count(row, 0))?;
            let gone = u64::try_from(removed.len()).map_err(damaged)?;
            let (keys, bytes) = (kept.backup.keys.saturating_sub(gone), removed.iter().sum());
            let changed =
                Kept { bytes: kept.bytes.saturating_sub(bytes), backup: KeyBackup { keys, ..kept.backup }, ..kept };
            settle(tx.conn, changed, gone > 0).map(Some)
        })
        .await
    }
}

fn create(
    conn: &Connection,
    user_id: &UserId,
    algorithm: &str,
    auth_data: &str,
    most: usize,
) -> Result<Option<i64>, StoreError> {
    let backups = integer(conn, "SELECT count(*) FROM key_backup WHERE user_id = ?1", [user_id.as_str()])?;
    if usize::try_from(backups.unwrap_or(0)).map_err(damaged)? >= most {
        return Ok(None);
    }
    let version = last_version(conn, user_id)? + 1;
    conn.prepare_cached("INSERT OR REPLACE INTO key_backup_last (user_id, version) VALUES (?1, ?2)")?
        .execute(params![user_id.as_str(), version])?;
    conn.prepare_cached(
        "INSERT INTO key_backup (user_id, version, algorithm, auth_data, etag, keys, bytes)
         VALUES (?1, ?2, ?3, ?4, 0, 0, 0)",
    )?
    .execute(params![user_id.as_str(), version, algorithm, auth_data])?;
    Ok(Some(version))
}

fn put(
    conn: &Connection,
    user_id: &UserId,
    version: i64,
    keys: &[BackupKey],
    most_bytes: u64,
) -> Result<PutBackupKeys, StoreError> {
    let Some(mut kept) = find(conn, user_id, None)? else { return Ok(PutBackupKeys::NoBackup) };
    if kept.backup.version != version {
        return Ok(PutBackupKeys::NotCurrent(kept.backup.version));
    }
    let all_bytes = integer(conn, "SELECT sum(bytes) FROM key_backup WHERE user_id = ?1", [user_id.as_str()])?;
    let all_bytes = u64::try_from(all_bytes.unwrap_or(0)).map_err(damaged)?;
    // Checked first, as if all of them were stored: what is refused has written nothing.
    let new_bytes: u64 = keys.iter().map(BackupKey::bytes).sum();
    if all_bytes.saturating_add(new_bytes) > most_bytes {
        return Ok(PutBackupKeys::Full);
    }
    let mut known = conn.prepare_cached(
        "SELECT is_verified, first_message_index, forwarded_count, length(CAST(room_id || session_id || json AS BLOB))
         FROM backup_key WHERE backup = ?1 AND room_id = ?2 AND session_id = ?3",
    )?;
    let mut store = conn.prepare_cached(
        "INSERT OR REPLACE INTO backup_key
             (backup, room_id, session_id, is_verified, first_message_index, forwarded_count, json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut changed = false;
    for key in keys {
        let place = params![kept.id, key.room_id, key.session_id];
        match one(&mut known, place, |row| Ok((quality(row, 0)?, rows::count(row, 3)?)))? {
            Some((quality, _)) if !key.quality.beats(&quality) => continue,
            Some((_, bytes)) => kept.bytes = kept.bytes.saturating_sub(bytes),
            None => kept.backup.keys += 1,
        }
        let KeyQuality { is_verified, first_message_index, forwarded_count } = key.quality;
        store.execute(params![
            kept.id,
            key.room_id,
            key.session_id,
            is_verified,
            first_message_index,
            forwarded_count,
            key.json
        ])?;
        kept.bytes += key.bytes();
        changed = true;
    }
    settle(conn, kept, changed).map(PutBackupKeys::Stored)
}

/// Writes down how much a backup has now, and that its keys changed.
fn settle(conn: &Connection, kept: Kept, changed: bool) -> Result<KeyBackup, StoreError> {
    let Kept { id, bytes, mut backup } = kept;
    if changed {
        backup.etag += 1;
        let (keys, bytes) = (i64::try_from(backup.keys).map_err(damaged)?, i64::try_from(bytes).map_err(damaged)?);
        conn.prepare_cached("UPDATE key_backup SET etag = ?2, keys = ?3, bytes = ?4 WHERE id = ?1")?.execute([
            id,
            backup.etag,
            keys,
            bytes,
        ])?;
    }
    Ok(backup)
}

/// The keys meant, of backup `?1`; the room is `?2`, the session `?3`.
fn condition(which: &WhichKeys) -> &'static str {
    match which {
        WhichKeys::All => "backup = ?1 AND ?2 IS NULL AND ?3 IS NULL",
        WhichKeys::Room(_) => "backup = ?1 AND room_id = ?2 AND ?3 IS NULL",
        WhichKeys::Session(..) => "backup = ?1 AND room_id = ?2 AND session_id = ?3",
    }
}

/// A backup; `version` is `None`: the current one.
fn find(conn: &Connection, user_id: &UserId, version: Option<i64>) -> Result<Option<Kept>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM key_backup WHERE user_id = ?1 AND version = coalesce(?2, version)
         ORDER BY version DESC LIMIT 1"
    );
    one(&mut conn.prepare_cached(&sql)?, params![user_id.as_str(), version], read)
}

fn last_version(conn: &Connection, user_id: &UserId) -> Result<i64, StoreError> {
    let last = integer(conn, "SELECT version FROM key_backup_last WHERE user_id = ?1", [user_id.as_str()])?;
    Ok(last.unwrap_or(0))
}

fn read(row: &Row<'_>) -> Result<Kept, StoreError> {
    let backup = KeyBackup {
        version: row.get(2)?,
        algorithm: row.get(3)?,
        auth_data: row.get(4)?,
        etag: row.get(5)?,
        keys: rows::count(row, 6)?,
    };
    Ok(Kept { id: row.get(0)?, bytes: rows::count(row, 1)?, backup })
}

fn read_key(row: &Row<'_>) -> Result<BackupKey, StoreError> {
    Ok(BackupKey { room_id: row.get(0)?, session_id: row.get(1)?, quality: quality(row, 2)?, json: row.get(5)? })
}

/// A quality in three columns, of which this is the first.
fn quality(row: &Row<'_>, column: usize) -> Result<KeyQuality, StoreError> {
    Ok(KeyQuality {
        is_verified: row.get(column)?,
        first_message_index: row.get(column + 1)?,
        forwarded_count: row.get(column + 2)?,
    })
}
