//! The suite on the store in memory, and the faults that it injects.

use std::sync::Arc;
use std::time::Duration;

use crate::suite::fixtures::*;
use axle_store::memory::MemoryStore;
use axle_store::{Append, EventStatus, InboundResponse, Store, StoreError};

async fn open() -> (Arc<dyn Store>, ()) {
    (Arc::new(MemoryStore::new()), ())
}

crate::full_suite!(open);

async fn prepared() -> (MemoryStore, Arc<dyn Store>) {
    let memory = MemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    make_room(&store, "one").await;
    (memory, store)
}

#[tokio::test]
async fn a_false_claim_of_having_made_the_events_is_refused() {
    let (_memory, store) = prepared().await;
    put(&store, &room("one"), vec![message("a", 2), unplaced(message("b", 0), EventStatus::Waiting)]).await;
    let repeated = [vec![message("a", 3)], vec![message("b", 3)], vec![message("c", 3), message("c", 4)]];
    let unplaced = vec![unplaced(message("c", 0), EventStatus::Outlier)];
    for events in repeated.into_iter().chain([unplaced]) {
        let refused = store.append(Append { made_here: true, ..append(&room("one"), Some(2), events) }).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    assert_eq!(head(&store, &room("one")).await, Some(2));
}

#[tokio::test]
async fn what_is_written_after_closing_fails() {
    let (_memory, store) = prepared().await;
    store.close().await;
    assert!(matches!(store.block_room(&room("one"), true).await, Err(StoreError::Io(_))));
    assert!(store.blocked_rooms().await.unwrap().is_empty());
}

/// Starts appends that wait for one another's heads, and returns when all of them are held.
async fn start_held(
    memory: &MemoryStore,
    store: &Arc<dyn Store>,
) -> Vec<tokio::task::JoinHandle<Result<axle_store::Appended, StoreError>>> {
    memory.hold();
    let mut tasks = Vec::new();
    for position in 2..5 {
        let store = store.clone();
        let write = append(&room("one"), Some(position - 1), vec![message(&format!("m{position}"), position)]);
        tasks.push(tokio::spawn(async move { store.append(write).await }));
        while memory.held() < tasks.len() {
            tokio::task::yield_now().await;
        }
    }
    tasks
}

#[tokio::test]
async fn failing_writes_store_nothing() {
    let (memory, store) = prepared().await;
    memory.fail_writes(2);
    for _ in 0..2 {
        try_put(&store, &room("one"), vec![message("a", 2)]).await.unwrap_err();
    }
    assert!(store.event(&id("a")).await.unwrap().is_none());
    put(&store, &room("one"), vec![message("a", 2)]).await;
}

#[tokio::test]
async fn held_writes_are_not_seen_until_released() {
    let (memory, store) = prepared().await;
    let tasks = start_held(&memory, &store).await;
    assert_eq!(head(&store, &room("one")).await, Some(1));
    memory.release();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(head(&store, &room("one")).await, Some(4));
}

#[tokio::test]
async fn a_crash_tears_a_batch() {
    let (memory, store) = prepared().await;
    let tasks = start_held(&memory, &store).await;
    memory.crash(2);
    for task in tasks {
        task.await.unwrap().unwrap_err();
    }
    assert_eq!(head(&store, &room("one")).await, Some(3), "stored, though nobody was told");
    put(&store, &room("one"), vec![message("later", 4)]).await;
}

#[tokio::test]
async fn a_crash_loses_what_nobody_waited_for() {
    let (memory, store) = prepared().await;
    let deliveries = vec![start("b.example", 1)];
    store.append(Append { deliveries, ..append(&room("one"), Some(1), vec![message("a", 2)]) }).await.unwrap();
    let stream = store.max_stream().await.unwrap();
    let note = || {
        store.acknowledge(&server("b.example"), stream);
        store.record_inbound(&server("b.example"), "send", "1", InboundResponse { status: 200, body: "{}".into() });
    };
    let pending = async || store.pending_events(&server("b.example"), 0, 9).await.unwrap().len();
    note();
    assert_eq!(pending().await, 0);
    memory.crash(0);
    assert_eq!(pending().await, 1);
    assert!(store.inbound_response(&server("b.example"), "send", "1").await.unwrap().is_none());
    note();
    put(&store, &room("one"), vec![message("b", 3)]).await;
    memory.crash(0);
    assert_eq!(pending().await, 1, "only what came after the acknowledgement");
    assert!(store.inbound_response(&server("b.example"), "send", "1").await.unwrap().is_some());
}

#[tokio::test]
async fn a_slow_disk_delays_writes() {
    let (memory, store) = prepared().await;
    memory.set_delay(Some(Duration::from_millis(30)));
    let start = std::time::Instant::now();
    put(&store, &room("one"), vec![message("a", 2)]).await;
    assert!(start.elapsed() >= Duration::from_millis(30));
}
