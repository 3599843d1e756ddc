use std::collections::HashSet;
use std::sync::Arc;

use axle_store::{Append, Direction, Store, StoreError};

use super::fixtures::*;

const ROOMS: i64 = 30;
const EVENTS: i64 = 20;

/// Rooms written at once, read meanwhile: nothing is lost, order holds, streams are unique.
pub(crate) async fn many_tasks_many_rooms(store: Arc<dyn Store>) {
    let mut tasks = Vec::new();
    for number in 0..ROOMS {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let room_id = make_room(&store, &format!("r{number}")).await;
            let deliveries = vec![start("b.example", 1)];
            store.append(Append { deliveries, ..append(&room_id, Some(1), vec![]) }).await.unwrap();
            let mut streams = Vec::new();
            for position in 2..EVENTS {
                let event = message(&format!("r{number}_{position}"), position);
                let appended = store.append(append(&room_id, Some(position - 1), vec![event])).await.unwrap();
                assert!(store.max_stream().await.unwrap() >= appended.streams[0]);
                let seen = store.timeline(&room_id, None, Direction::Backward, 1).await.unwrap();
                assert_eq!(seen[0].stream, appended.streams[0], "one reads what one has written");
                streams.extend(appended.streams);
            }
            assert!(streams.is_sorted());
            streams
        }));
    }
    let mut streams = HashSet::new();
    for task in tasks {
        streams.extend(task.await.unwrap());
    }
    let written = usize::try_from(ROOMS * (EVENTS - 2)).unwrap();
    assert_eq!(streams.len(), written);
    let pending = store.pending_events(&server("b.example"), 0, usize::MAX).await.unwrap();
    assert_eq!(pending.iter().map(|event| event.stream).collect::<HashSet<_>>(), streams);
    assert!(pending.is_sorted_by_key(|event| event.stream));
}

/// Of many that append at one head exactly one wins.
pub(crate) async fn racing_for_one_head(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let mut tasks = Vec::new();
    for number in 0..20 {
        let (store, room_id) = (store.clone(), room_id.clone());
        tasks.push(tokio::spawn(async move {
            store.append(append(&room_id, Some(1), vec![message(&format!("m{number}"), 2)])).await
        }));
    }
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(StoreError::HeadMoved { actual, .. }) => assert_eq!(actual, Some(2)),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won, 1);
}
