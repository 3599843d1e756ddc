use std::sync::Arc;

use axle_store::{Append, Direction, EventStatus, Store, StoreError};

use super::fixtures::*;

pub(crate) async fn streams_grow(store: Arc<dyn Store>) {
    let before = store.max_stream().await.unwrap();
    let first = make_room(&store, "one").await;
    let second = make_room(&store, "two").await;
    let a = put(&store, &first, vec![message("a", 2), message("b", 3)]).await;
    let b = put(&store, &second, vec![message("c", 2)]).await;
    assert_eq!(a.streams, [before + 5, before + 6]);
    assert_eq!(b.streams, [before + 7]);
    assert_eq!(store.max_stream().await.unwrap(), before + 7);
    let stored = store.event(&id("b")).await.unwrap().unwrap();
    assert_eq!((stored.stream, stored.position, stored.status), (before + 6, Some(3), EventStatus::Accepted));
    assert_eq!((stored.room_id, &*stored.json), (first, &*message("b", 3).json));
}

pub(crate) async fn head_must_match(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    for expected in [None, Some(0), Some(2)] {
        let refused = store.append(append(&room_id, expected, vec![message("a", 2)])).await;
        let Err(StoreError::HeadMoved { room_id: told, expected: tried, actual }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((told.as_str(), tried, actual), (room_id.as_str(), expected, Some(1)));
    }
    let nowhere = store.append(append(&room("two"), Some(1), vec![message("a", 2)])).await;
    assert!(matches!(nowhere, Err(StoreError::HeadMoved { actual: None, .. })), "{nowhere:?}");
    assert!(store.event(&id("a")).await.unwrap().is_none());
    assert!(store.load_room(&room("two")).await.unwrap().is_none());
    store.append(append(&room_id, Some(1), vec![message("a", 2)])).await.unwrap();
}

pub(crate) async fn same_id_is_stored_once(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let first = put(&store, &room_id, vec![message("a", 2)]).await;
    let again = put(&store, &room_id, vec![message("a", 7), message("b", 3)]).await;
    assert_eq!(again.streams[0], first.streams[0]);
    assert_eq!(store.event(&id("a")).await.unwrap().unwrap().position, Some(2));
    assert_eq!(head(&store, &room_id).await, Some(3));
    let unplaced = unplaced(message("a", 2), EventStatus::Rejected);
    put(&store, &room_id, vec![unplaced]).await;
    let stored = store.event(&id("a")).await.unwrap().unwrap();
    assert_eq!((stored.position, stored.status), (Some(2), EventStatus::Accepted));
}

pub(crate) async fn same_id_twice_in_one_append(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let appended = put(&store, &room_id, vec![message("a", 2), message("a", 3), message("b", 3)]).await;
    assert_eq!(appended.streams[0], appended.streams[1]);
    let timeline = store.timeline(&room_id, Some(2), Direction::Forward, 10).await.unwrap();
    assert_eq!(names(timeline.iter().map(|event| &event.event_id)), ["a", "b"]);
}

pub(crate) async fn waiting_event_is_moved(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let early = put(&store, &room_id, vec![unplaced(message("late", 0), EventStatus::Waiting)]).await;
    let token = store.max_stream().await.unwrap();
    let filled = put(&store, &room_id, vec![message("missing", 2), message("late", 3)]).await;
    assert!(filled.streams[0] > early.streams[0] && filled.streams[1] > filled.streams[0]);
    let stored = store.event(&id("late")).await.unwrap().unwrap();
    assert_eq!((stored.position, stored.status), (Some(3), EventStatus::Accepted));
    assert_eq!(stored.stream, filled.streams[1]);
    let sync = store.sync_room(&room_id, token, i64::MAX, 10).await.unwrap();
    assert_eq!(names(sync.timeline.iter().map(|event| &event.event_id)), ["missing", "late"]);
    assert!(store.load_room(&room_id).await.unwrap().unwrap().waiting.is_empty());
}

pub(crate) async fn outlier_becomes_history(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let outlier = put(&store, &room_id, vec![unplaced(message("old", 0), EventStatus::Outlier)]).await;
    let placed = put(&store, &room_id, vec![message("old", -1)]).await;
    assert_eq!(placed.streams, outlier.streams, "history is no news");
    assert_eq!(store.event(&id("old")).await.unwrap().unwrap().position, Some(-1));
    assert_eq!(head(&store, &room_id).await, Some(1));
}

pub(crate) async fn rejected_event_is_kept(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    put(&store, &room_id, vec![unplaced(message("bad", 0), EventStatus::Waiting)]).await;
    put(&store, &room_id, vec![unplaced(message("bad", 0), EventStatus::Rejected)]).await;
    assert_eq!(store.event(&id("bad")).await.unwrap().unwrap().status, EventStatus::Rejected);
    assert!(store.load_room(&room_id).await.unwrap().unwrap().waiting.is_empty());
    assert_eq!(store.timeline(&room_id, None, Direction::Backward, 10).await.unwrap().len(), 2);
}

pub(crate) async fn empty_append(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let before = store.max_stream().await.unwrap();
    let appended = store.append(append(&room_id, Some(1), Vec::new())).await.unwrap();
    assert!(appended.streams.is_empty());
    assert_eq!(store.max_stream().await.unwrap(), before);
    assert_eq!(head(&store, &room_id).await, Some(1));
}

pub(crate) async fn taken_position_is_refused(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let refused = try_put(&store, &room_id, vec![message("a", 2), message("b", 1)]).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    assert!(store.event(&id("a")).await.unwrap().is_none(), "nothing of a refused append is stored");
    assert_eq!(head(&store, &room_id).await, Some(1));
}

pub(crate) async fn event_of_another_room_is_refused(store: Arc<dyn Store>) {
    make_room(&store, "one").await;
    let second = make_room(&store, "two").await;
    let refused = try_put(&store, &second, vec![message("x", 2), message("one_create", 3)]).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    assert!(store.event(&id("x")).await.unwrap().is_none());
}

pub(crate) async fn failed_append_spoils_no_other(store: Arc<dyn Store>) {
    let mut tasks = Vec::new();
    for number in 0..40 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let room_id = make_room(&store, &format!("r{number}")).await;
            let bad = number % 4 == 0;
            let second = message(&format!("b{number}"), if bad { 1 } else { 3 });
            let result = try_put(&store, &room_id, vec![message(&format!("a{number}"), 2), second]).await;
            assert_eq!(result.is_err(), bad, "{result:?}");
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for number in 0..40 {
        let stored = store.event(&id(&format!("a{number}"))).await.unwrap();
        assert_eq!(stored.is_some(), number % 4 != 0);
    }
}

pub(crate) async fn made_here(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let events = vec![message("a", 2), state("topic", 3, "m.room.topic", "")];
    let made = Append { made_here: true, ..append(&room_id, Some(1), events) };
    let streams = store.append(made.clone()).await.unwrap().streams;
    assert!(matches!(store.append(made).await, Err(StoreError::HeadMoved { .. })));
    assert_eq!(store.event(&id("a")).await.unwrap().unwrap().stream, streams[0]);
    // Found by whoever looks.
    let again = put(&store, &room_id, vec![message("a", 4), message("b", 4)]).await;
    assert_eq!(again.streams[0], streams[0]);
}
