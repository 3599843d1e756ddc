//! The suite on SQLite.

use std::sync::Arc;

use axle_store::Store;
use axle_store::sqlite::{Options, SqliteStore};
use tempfile::TempDir;

async fn open() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("axle.db"), Options::default()).unwrap();
    (Arc::new(store), folder)
}

crate::full_suite!(open);
