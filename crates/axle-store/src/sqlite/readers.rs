//! Reading, on connections of its own: readers never wait for the writer nor it for them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Options;
use super::snapshot::Snapshot;
use crate::StoreError;

/// A bounded number of connections, used on tokio's threads for blocking work.
pub(super) struct Readers {
    path: PathBuf,
    options: Options,
    idle: Mutex<Vec<Connection>>,
    /// Each is kept as long as its read runs, which may be longer than somebody waits for it.
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, options: Options) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(options.readers.max(1)));
        Arc::new(Self { path, options, idle: Mutex::default(), permits })
    }

    /// Runs `work` in a read transaction: it sees one state of the database throughout.
    pub(super) async fn read<T, F>(self: &Arc<Self>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        if let Some(snapshot) = Snapshot::open(self) {
            return work(&snapshot.conn);
        }
        let permit = self.permit().await?;
        let readers = self.clone();
        let run = move || {
            let result = readers.run(work);
            drop(permit);
            result
        };
        tokio::task::spawn_blocking(run).await.map_err(|error| StoreError::Io(error.to_string()))?
    }

    /// To be kept as long as a connection is used.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        self.permits.clone().acquire_owned().await.map_err(|_| closed())
    }

    /// Waits for all reads that run, and closes their connections. Later reads fail.
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.options.readers.max(1)).unwrap_or(u32::MAX);
        // An error: it is closed already.
        let _all = self.permits.acquire_many(all).await;
        self.permits.close();
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let conn = self.take()?;
        let result = (|| {
            conn.prepare_cached("BEGIN")?.execute([])?;
            let result = work(&conn);
            conn.prepare_cached("COMMIT")?.execute([])?;
            result
        })();
        self.give_back(conn);
        result
    }

    /// A connection that nobody uses.
    pub(super) fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle().pop();
        match idle {
            Some(conn) => Ok(conn),
            None => super::connect(&self.path, &self.options, super::Access::Read),
        }
    }

    pub(super) fn give_back(&self, conn: Connection) {
        // One that is still in a transaction had its COMMIT fail: it is not used again.
        if conn.is_autocommit() {
            self.idle().push(conn);
        }
    }
}

fn closed() -> StoreError {
    StoreError::Io("the store is closed".into())
}
