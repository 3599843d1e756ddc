//! Reading at once what a database in a file was at one moment.

use std::sync::Arc;

use axle_store::sqlite::{Options, SqliteStore, Synchronous};
use axle_store::{Store, StoreError, read_at_once};
use tokio::sync::oneshot;

use crate::suite::fixtures::*;

/// More than are kept in memory before they are merged into the index of events.
const MANY: i64 = 20_000;
/// Events of one append.
const AT_ONCE: i64 = 1_000;

fn open(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    let options = Options { synchronous: Synchronous::Off, ..Options::default() };
    Arc::new(SqliteStore::open(folder.path().join("axle.db"), options).unwrap())
}

#[tokio::test]
async fn nothing_changes_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let one = make_room(&store, "one").await;
    put(&store, &one, vec![message("before", 2)]).await;
    let (has_begun, begun) = oneshot::channel();
    let (go_on, going_on) = oneshot::channel::<()>();
    let (reader, room_id) = (store.clone(), one.clone());
    let reading = tokio::spawn(async move {
        let store = reader.clone();
        let work = async move {
            let before = store.max_stream().await?;
            assert_eq!(store.sync_room(&room_id, 0, i64::MAX, 10).await?.timeline.len(), 3);
            has_begun.send(()).unwrap();
            going_on.await.unwrap();
            assert_eq!(store.max_stream().await?, before);
            assert_eq!(store.sync_room(&room_id, 0, i64::MAX, 10).await?.timeline.len(), 3);
            assert!(store.event(&id("after-3")).await?.is_none());
            let again = store.clone();
            read_at_once(&*store, async move { again.event(&id("before")).await }).await?
        };
        read_at_once(&*reader, work).await.unwrap()
    });
    begun.await.unwrap();
    for first in (3..MANY).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let events = (first..first + AT_ONCE).map(|position| message(&format!("after-{position}"), position));
        put(&store, &one, events.collect()).await;
    }
    go_on.send(()).unwrap();
    let found: Result<_, StoreError> = reading.await.unwrap();
    // Found although the index has grown around it.
    assert_eq!(found.unwrap().unwrap().event_id, id("before"));
    assert!(store.event(&id("after-3")).await.unwrap().is_some());
}

#[tokio::test]
async fn what_panics_spoils_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let one = make_room(&store, "one").await;
    for _ in 0..10 {
        let reader = store.clone();
        let broken = read_at_once(&*store, async move {
            reader.max_stream().await.unwrap();
            panic!("as it was told to");
        });
        let broken: Result<(), StoreError> = broken.await;
        assert!(matches!(broken, Err(StoreError::Io(_))));
    }
    put(&store, &one, vec![message("a", 2)]).await;
    assert!(store.event(&id("a")).await.unwrap().is_some());
}
