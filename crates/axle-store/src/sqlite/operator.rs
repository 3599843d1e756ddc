//! What an operator does.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use axle_protocol::{RoomId, ServerName};
use rusqlite::{Connection, Row};

use super::rows::{self, all};
use super::writer::Writer;
use super::{Access, FILE_MODE, SqliteStore, append, check, connect, restored};
use crate::{Operator, RoomSummary, StoreError};

/// With less free space than this, in bytes, a write may fail any moment.
const MIN_FREE_BYTES: u64 = 16 * 1024 * 1024;

#[async_trait]
impl Operator for SqliteStore {
    async fn rooms(&self) -> Result<Vec<RoomSummary>, StoreError> {
        self.read(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT r.room_id, r.version, r.events,
                     (SELECT e.json FROM current_state c JOIN event e ON e.stream = c.event
                      WHERE c.room = r.id AND c.event_type = 'm.room.name' AND c.state_key = ''),
                     (SELECT count(*) FROM current_state c
                      WHERE c.room = r.id AND c.event_type = 'm.room.member' AND c.membership = 'join')
                 FROM room_now r ORDER BY r.room_id",
            )?;
            all(&mut find, [], summary)
        })
        .await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let (store, to) = (self.clone(), to.to_owned());
        let copy = move || {
            let from = connect(&store.inner.path, &store.inner.options, Access::Read)?;
            copy(&from, &to)
        };
        tokio::task::spawn_blocking(copy).await.map_err(|error| StoreError::Io(error.to_string()))?
    }

    async fn close(&self) {
        // The connection that is closed last makes the log part of the file: the writer's.
        self.inner.readers.close().await;
        let store = self.clone();
        let end = move || {
            if let Some(writer) = &store.inner.writer {
                writer.close();
            }
            store.inner.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        };
        if let Err(error) = tokio::task::spawn_blocking(end).await {
            tracing::error!(%error, "the store was not closed in order");
        }
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.read(append::last_stream).await?;
        check_free(free_bytes(&self.inner.path)?)?;
        self.inner.writer.as_ref().map_or(Ok(()), Writer::check_open)?;
        // Writing costs an fsync, so only a doubt is worth it.
        if self.inner.shared.write_failed.load(Ordering::Relaxed) {
            self.write(|tx| {
                tx.conn.execute("UPDATE stream_floor SET stream = stream", [])?;
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        // On a connection of its own: one that searched before remembers parts of the index that were merged since, and calls
        // them damaged when it does not find them.
        let store = self.clone();
        let look = move || check::damage(&connect(&store.inner.path, &store.inner.options, Access::Read)?);
        let damage = tokio::task::spawn_blocking(look).await.map_err(|error| StoreError::Io(error.to_string()))??;
        if !damage.is_empty() {
            // What reads a damaged file fails or tells nonsense.
            return Ok(damage);
        }
        self.read_events(check::check).await
    }

    async fn block_server(&self, server: &ServerName, blocked: bool) -> Result<(), StoreError> {
        self.block("blocked_server", "server", server.to_string(), blocked).await
    }

    async fn block_room(&self, room_id: &RoomId, blocked: bool) -> Result<(), StoreError> {
        self.block("blocked_room", "room_id", room_id.to_string(), blocked).await
    }

    async fn blocked_servers(&self) -> Result<Vec<ServerName>, StoreError> {
        self.read(|conn| {
            all(&mut conn.prepare_cached("SELECT server FROM blocked_server ORDER BY server")?, [], |row| {
                rows::id(row, 0)
            })
        })
        .await
    }

    async fn blocked_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.read(|conn| {
            all(&mut conn.prepare_cached("SELECT room_id FROM blocked_room ORDER BY room_id")?, [], |row| {
                rows::id(row, 0)
            })
        })
        .await
    }
}

impl SqliteStore {
    async fn block(
        &self,
        table: &'static str,
        column: &'static str,
        name: String,
        blocked: bool,
    ) -> Result<(), StoreError> {
        let sql = match blocked {
            true => format!("INSERT OR IGNORE INTO {table} ({column}) VALUES (?1)"),
            false => format!("DELETE FROM {table} WHERE {column} = ?1"),
        };
        self.write(move |tx| {
            tx.conn.execute(&sql, [&name])?;
            Ok(())
        })
        .await
    }
}

fn summary(row: &Row<'_>) -> Result<RoomSummary, StoreError> {
    let json: Option<String> = row.get(3)?;
    let event: Option<serde_json::Value> = json.and_then(|json| serde_json::from_str(&json).ok());
    let name = event.as_ref().and_then(|event| event.get("content")?.get("name")?.as_str());
    Ok(RoomSummary {
        room_id: rows::id(row, 0)?,
        room_version: rows::version(row.get_ref(1)?.as_str().map_err(super::error::damaged)?)?,
        name: name.map(str::to_owned),
        joined_members: rows::count(row, 4)?,
        events: rows::count(row, 2)?,
    })
}

/// Free space for this file, in bytes, on the file system that it is on.
fn free_bytes(path: &Path) -> Result<u64, StoreError> {
    let system = rustix::fs::statvfs(path).map_err(|error| StoreError::Io(format!("{}: {error}", path.display())))?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

fn check_free(bytes: u64) -> Result<(), StoreError> {
    if bytes >= MIN_FREE_BYTES {
        return Ok(());
    }
    Err(StoreError::Io(format!("the disk is full: {} KiB are free", bytes / 1024)))
}

/// Copies the database as it is at this moment, under another name until all of it is durable.
fn copy(from: &Connection, to: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| StoreError::Io(format!("backup to {}: {error}", to.display()));
    if to.try_exists().map_err(failed)? {
        return Err(StoreError::Exists(to.display().to_string()));
    }
    let partial = partial_name(to);
    let made = (|| {
        if partial.try_exists().map_err(failed)? {
            std::fs::remove_file(&partial).map_err(failed)?;
        }
        // Made here, so that nobody else may read it at any time: SQLite would ask the umask.
        std::fs::OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&partial).map_err(failed)?;
        let mut copy = Connection::open(&partial)?;
        // In one step: what is written meanwhile would make it begin again.
        let backup = rusqlite::backup::Backup::new(from, &mut copy)?;
        backup.step(-1)?;
        drop(backup);
        // Whoever is started with it learns that time has gone on elsewhere.
        restored::mark(&copy)?;
        // One file, that can be copied and opened anywhere.
        copy.pragma_update(None, "journal_mode", "DELETE")?;
        copy.close().map_err(|(_, error)| StoreError::from(error))?;
        std::fs::File::open(&partial).and_then(|file| file.sync_all()).map_err(failed)?;
        std::fs::rename(&partial, to).map_err(failed)?;
        sync_folder(to).map_err(failed)
    })();
    if made.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    made
}

fn partial_name(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn sync_folder(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_nearly_full_is_told_of() {
        assert!(check_free(MIN_FREE_BYTES).is_ok());
        let error = check_free(MIN_FREE_BYTES - 1).unwrap_err().to_string();
        assert!(error.contains("the disk is full: 16383 KiB are free"), "{error}");
        assert!(free_bytes(Path::new("/nowhere")).is_err());
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
    }
}
