//! Reading much at once.

use std::pin::Pin;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::StoreError;

/// What reads. It must not write to the store that it reads, nor wait for anything but reads.
pub type ReadingWork = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A store of which much can be read as it is at one moment.
#[async_trait]
pub trait Snapshots {
    /// Runs `work`. What it reads of this store comes from one moment, not before the call; this costs much less than to
    /// read as often by itself. Once begun, it is run to its end, whether anyone waits for it or not.
    ///
    /// A store in memory only runs it.
    async fn in_snapshot(&self, work: ReadingWork) -> Result<(), StoreError>;
}

/// Runs `work` [in a snapshot](Snapshots::in_snapshot) and gives back what it found.
pub async fn read_at_once<T, S>(store: &S, work: impl Future<Output = T> + Send + 'static) -> Result<T, StoreError>
where
    T: Send + 'static,
    S: Snapshots + ?Sized,
{
    let (found, answer) = oneshot::channel();
    let work = async move {
        // Whoever asked may have gone away.
        let _ = found.send(work.await);
    };
    store.in_snapshot(Box::pin(work)).await?;
    answer.await.map_err(|_| StoreError::Io("what was to be read was not".into()))
}
