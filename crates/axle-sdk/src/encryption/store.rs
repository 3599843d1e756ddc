//! Where keys are kept: a file for one device, and a view of it whose changes are made as one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axle_mls::member::{Change, KeyValue, StoreError};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::EncryptionError;

/// How long another process may take to let go of the file.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Keeps bytes under keys in a file (SQLite), each change durable before it counts. One process at a time: a device that
/// is used twice would use the same keys twice.
///
/// A change is one write to a log beside the file. What is replaced is there until [`KeyValue::forget`] overwrites it in
/// the file and empties the log; the end and the next start do that, too. The values are to be
/// [sealed](axle_mls::member::Sealed).
#[derive(Debug)]
pub struct FileStore {
    connection: Connection,
    /// Something was changed that is not forgotten.
    changed: bool,
}

impl FileStore {
    /// Opens the file, and makes it if it is not there, for its owner alone. Fails with [`EncryptionError::InUse`] while
    /// another process has it.
    pub fn open(path: &Path) -> Result<Self, EncryptionError> {
        let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => EncryptionError::InUse(path.to_owned()),
            _ => EncryptionError::File { path: path.to_owned(), reason: error.to_string() },
        };
        create(path).map_err(|error| EncryptionError::File { path: path.to_owned(), reason: error.to_string() })?;
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(LOCK_PATIENCE).map_err(failed)?;
        // Exclusive: the lock that the first change takes is kept. It ends with the process, however that ends. With it,
        // the log needs no file that processes share.
        connection
            .execute_batch(
                "PRAGMA locking_mode = EXCLUSIVE;
                 PRAGMA synchronous = FULL;
                 PRAGMA secure_delete = ON;
                 BEGIN EXCLUSIVE;
                 CREATE TABLE IF NOT EXISTS kept (name BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
                 COMMIT;
                 PRAGMA journal_mode = WAL;",
            )
            .map_err(failed)?;
        let mut store = Self { connection, changed: true };
        // A process that was killed may have left something.
        store.forget().map_err(|error| EncryptionError::File { path: path.to_owned(), reason: error.to_string() })?;
        Ok(store)
    }

    /// Removes a file of keys, if it is there, with what SQLite keeps beside it.
    pub fn remove(path: &Path) -> std::io::Result<()> {
        for ending in ["", "-wal", "-journal"] {
            let mut path = path.as_os_str().to_owned();
            path.push(ending);
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl KeyValue for FileStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT value FROM kept WHERE name = ?1").map_err(store_error)?;
        statement.query_row([key], |row| row.get(0)).optional().map_err(store_error)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction().map_err(store_error)?;
        for (name, value) in changes {
            match value {
                Some(value) => transaction
                    .prepare_cached("INSERT OR REPLACE INTO kept (name, value) VALUES (?1, ?2)")
                    .and_then(|mut statement| statement.execute(params![name, value])),
                None => transaction
                    .prepare_cached("DELETE FROM kept WHERE name = ?1")
                    .and_then(|mut statement| statement.execute([name])),
            }
            .map_err(store_error)?;
        }
        transaction.commit().map_err(store_error)?;
        self.changed = true;
        Ok(())
    }

    fn forget(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.changed) {
            let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            self.changed = emptied.map_err(store_error)? != 0;
        }
        Ok(())
    }
}

fn create(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn store_error(error: rusqlite::Error) -> StoreError {
    StoreError(error.to_string())
}

/// A store that the groups and their books share, so that what belongs together becomes durable together.
#[derive(Clone)]
pub(super) struct Vault(Arc<Mutex<Shelves>>);

struct Shelves {
    kept: Box<dyn KeyValue>,
    /// The changes of a unit of work that is under way.
    held: Option<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl Vault {
    pub(super) fn new(store: impl KeyValue + 'static) -> Self {
        Self(Arc::new(Mutex::new(Shelves { kept: Box::new(store), held: None })))
    }

    /// From here on, changes wait for [`Self::commit`] or [`Self::abandon`].
    pub(super) fn begin(&self) {
        self.shelves().held.get_or_insert_default();
    }

    pub(super) fn commit(&self) -> Result<(), StoreError> {
        let mut shelves = self.shelves();
        let changes: Vec<Change> = shelves.held.take().unwrap_or_default().into_iter().collect();
        if changes.is_empty() { Ok(()) } else { shelves.kept.apply(&changes) }
    }

    /// Forgets the changes since [`Self::begin`]. Returns whether there were any.
    pub(super) fn abandon(&self) -> bool {
        self.shelves().held.take().is_some_and(|changes| !changes.is_empty())
    }

    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let bytes = self.get(name.as_bytes())?;
        bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(malformed)).transpose()
    }

    pub(super) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let value = serde_json::to_vec(value).map_err(malformed)?;
        self.clone().apply(&[(name.as_bytes().to_vec(), Some(value))])
    }

    pub(super) fn erase(&self, name: &str) -> Result<(), StoreError> {
        self.clone().apply(&[(name.as_bytes().to_vec(), None)])
    }

    fn shelves(&self) -> std::sync::MutexGuard<'_, Shelves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyValue for Vault {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let shelves = self.shelves();
        match shelves.held.as_ref().and_then(|held| held.get(key)) {
            Some(changed) => Ok(changed.clone()),
            None => shelves.kept.get(key),
        }
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut shelves = self.shelves();
        match &mut shelves.held {
            Some(held) => {
                held.extend(changes.iter().cloned());
                Ok(())
            }
            None => shelves.kept.apply(changes),
        }
    }

    fn forget(&mut self) -> Result<(), StoreError> {
        self.shelves().kept.forget()
    }
}

fn malformed(error: serde_json::Error) -> StoreError {
    StoreError(error.to_string())
}
