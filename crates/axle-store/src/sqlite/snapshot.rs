//! Many reads in one transaction: each finds the snapshot on its thread, and goes to no other.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::runtime::Handle;

use super::event_index::View;
use super::readers::Readers;
use super::{Shared, SqliteStore};
use crate::{ReadingWork, Snapshots, StoreError};

thread_local! {
    static OPEN: RefCell<Option<Rc<Snapshot>>> = const { RefCell::new(None) };
}

/// A read transaction that is open on this thread.
pub(super) struct Snapshot {
    readers: Arc<Readers>,
    pub(super) conn: Connection,
    /// Taken before the transaction began, as [`View`] wants it.
    pub(super) view: View,
    /// The last stream position that was durable before the transaction began.
    pub(super) stream: i64,
}

impl Snapshot {
    fn begin(readers: &Arc<Readers>, shared: &Shared) -> Result<Rc<Self>, StoreError> {
        let conn = readers.take()?;
        let (view, stream) = (shared.events.view(), shared.stream.load(Ordering::Acquire));
        conn.prepare_cached("BEGIN")?.execute([])?;
        let snapshot = Rc::new(Self { readers: readers.clone(), conn, view, stream });
        OPEN.set(Some(snapshot.clone()));
        Ok(snapshot)
    }

    /// The one of this store that is open on this thread.
    pub(super) fn open(readers: &Arc<Readers>) -> Option<Rc<Self>> {
        OPEN.with_borrow(|open| open.clone()).filter(|open| Arc::ptr_eq(&open.readers, readers))
    }
}

/// Closes what is open on this thread, also when the work panics.
struct Closing;

impl Drop for Closing {
    fn drop(&mut self) {
        OPEN.set(None);
    }
}

#[async_trait]
impl Snapshots for SqliteStore {
    async fn in_snapshot(&self, work: ReadingWork) -> Result<(), StoreError> {
        if Snapshot::open(&self.inner.readers).is_some() {
            work.await;
            return Ok(());
        }
        let (readers, shared, runtime) = (self.inner.readers.clone(), self.inner.shared.clone(), Handle::current());
        let permit = readers.permit().await?;
        let run = move || {
            let _permit = permit;
            let snapshot = Snapshot::begin(&readers, &shared)?;
            {
                let _closing = Closing;
                runtime.block_on(work);
            }
            let Some(Snapshot { conn, .. }) = Rc::into_inner(snapshot) else { return Ok(()) };
            conn.prepare_cached("COMMIT")?.execute([])?;
            readers.give_back(conn);
            Ok(())
        };
        tokio::task::spawn_blocking(run).await.map_err(|error| StoreError::Io(error.to_string()))?
    }
}
