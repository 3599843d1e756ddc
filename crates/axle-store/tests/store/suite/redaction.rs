use std::sync::Arc;

use axle_store::{EventStatus, NewEvent, Store};

use super::fixtures::*;

fn redaction(name: &str, position: i64, target: &str) -> NewEvent {
    NewEvent { event_type: "m.room.redaction".into(), redacts: Some(id(target)), ..message(name, position) }
}

async fn redacted_by(store: &Arc<dyn Store>, name: &str) -> Option<String> {
    let event = store.event(&id(name)).await.unwrap().unwrap();
    names(&event.redacted_by).pop()
}

pub(crate) async fn now_and_later(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    put(&store, &room_id, vec![message("a", 2), redaction("r1", 3, "a"), redaction("r2", 4, "later")]).await;
    assert_eq!(redacted_by(&store, "a").await.as_deref(), Some("r1"));
    put(&store, &room_id, vec![message("other", 5)]).await;
    put(&store, &room_id, vec![unplaced(message("later", 0), EventStatus::Outlier)]).await;
    assert_eq!(redacted_by(&store, "later").await.as_deref(), Some("r2"));
    assert_eq!(redacted_by(&store, "other").await, None);
    let stored = store.event(&id("a")).await.unwrap().unwrap();
    assert_eq!(&*stored.json, &*message("a", 2).json, "kept whole");
}

pub(crate) async fn not_in_another_room(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    let two = make_room(&store, "two").await;
    put(&store, &one, vec![message("a", 2)]).await;
    put(&store, &two, vec![redaction("r1", 2, "a"), redaction("r2", 3, "later")]).await;
    put(&store, &one, vec![message("later", 3)]).await;
    assert_eq!(redacted_by(&store, "a").await, None);
    assert_eq!(redacted_by(&store, "later").await, None);
}

pub(crate) async fn first_one_stays(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    put(&store, &room_id, vec![message("a", 2), redaction("r1", 3, "a"), redaction("r2", 4, "a")]).await;
    assert_eq!(redacted_by(&store, "a").await.as_deref(), Some("r1"));
}
