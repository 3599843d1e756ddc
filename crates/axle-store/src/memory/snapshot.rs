//! Reading much at once.

use async_trait::async_trait;

use super::MemoryStore;
use crate::{ReadingWork, Snapshots, StoreError};

#[async_trait]
impl Snapshots for MemoryStore {
    async fn in_snapshot(&self, work: ReadingWork) -> Result<(), StoreError> {
        work.await;
        Ok(())
    }
}
