use std::sync::Arc;

use axle_protocol::RoomVersion;
use axle_protocol::auth::Membership;
use axle_store::{Direction, EventStatus, Store};

use super::fixtures::*;

async fn read(store: &Arc<dyn Store>, from: Option<i64>, direction: Direction, limit: usize) -> Vec<String> {
    let events = store.timeline(&room("one"), from, direction, limit).await.unwrap();
    names(events.iter().map(|event| &event.event_id))
}

pub(crate) async fn timeline_both_ways(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let soft = axle_store::NewEvent { status: EventStatus::SoftFailed, ..message("c", 4) };
    put(&store, &room_id, vec![message("a", 2), message("b", 3), soft]).await;
    put(&store, &room_id, vec![message("old2", -2), message("old1", -1)]).await;
    put(&store, &room_id, vec![unplaced(message("nowhere", 0), EventStatus::Outlier)]).await;
    let all = ["old2", "old1", "one_create", "one_alice", "a", "b", "c"];
    assert_eq!(read(&store, None, Direction::Forward, 100).await, all);
    assert_eq!(read(&store, None, Direction::Backward, 3).await, ["c", "b", "a"]);
    assert_eq!(read(&store, Some(2), Direction::Backward, 2).await, ["a", "one_alice"]);
    assert_eq!(read(&store, Some(2), Direction::Forward, 2).await, ["a", "b"]);
    assert_eq!(read(&store, Some(-1), Direction::Backward, 9).await, ["old1", "old2"]);
    assert!(read(&store, Some(5), Direction::Forward, 9).await.is_empty());
    assert!(read(&store, None, Direction::Forward, 0).await.is_empty());
}

pub(crate) async fn unknown_things(store: Arc<dyn Store>) {
    let nowhere = room("nowhere");
    assert!(store.load_room(&nowhere).await.unwrap().is_none());
    assert!(store.event(&id("none")).await.unwrap().is_none());
    assert!(store.timeline(&nowhere, None, Direction::Backward, 5).await.unwrap().is_empty());
    assert!(store.current_state(&nowhere).await.unwrap().is_empty());
    assert!(store.state_before(&nowhere, 5).await.unwrap().is_empty());
    assert!(store.state_event(&nowhere, "m.room.name", "").await.unwrap().is_none());
    assert!(store.state_changes(&nowhere, 0, 9).await.unwrap().is_empty());
    assert!(store.known_lpdus(&nowhere, &[[1; 32]]).await.unwrap().is_empty());
    let sync = store.sync_room(&nowhere, 0, 9, 5).await.unwrap();
    assert!(sync.timeline.is_empty() && !sync.limited);
    assert!(store.user_rooms(&user("nobody")).await.unwrap().is_empty());
    assert!(store.members(&nowhere, Membership::Join).await.unwrap().is_empty());
    assert!(store.pending_events(&server("nobody.example"), 0, 5).await.unwrap().is_empty());
    store.acknowledge(&server("nobody.example"), 5);
    store.record_attempt(&server("nobody.example"), 5, Some("refused".into()));
    assert!(store.destinations().await.unwrap().is_empty());
}

pub(crate) async fn events_by_id(store: Arc<dyn Store>) {
    make_room(&store, "one").await;
    make_room(&store, "two").await;
    let found = store.events(&[id("two_create"), id("none"), id("one_alice")]).await.unwrap();
    assert_eq!(sorted(names(found.iter().map(|event| &event.event_id))), ["one_alice", "two_create"]);
    assert!(found.iter().any(|event| event.room_id == room("two")));
}

pub(crate) async fn load_room(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let waiting = |name| unplaced(message(name, 0), EventStatus::Waiting);
    put(&store, &room_id, vec![waiting("w1"), unplaced(message("auth", 0), EventStatus::Outlier)]).await;
    let last = put(&store, &room_id, vec![message("a", 2), waiting("w2")]).await;
    let loaded = store.load_room(&room_id).await.unwrap().unwrap();
    assert_eq!((loaded.room_id, loaded.room_version), (room_id, RoomVersion::I1));
    let head = loaded.head.unwrap();
    assert_eq!((head.position, head.event_id, head.stream), (2, id("a"), last.streams[0]));
    assert_eq!(names(loaded.waiting.iter().map(|event| &event.event_id)), ["w1", "w2"]);
    assert_eq!(loaded.state.len(), 2);
    for entry in loaded.state {
        let is_member = entry.event_type == "m.room.member";
        assert_eq!(entry.json.is_none(), is_member, "members load without their event");
        assert_eq!(entry.membership, is_member.then_some(Membership::Join));
        assert_eq!(entry.event_id, if is_member { id("one_alice") } else { id("one_create") });
    }
}

pub(crate) async fn load_room_of_unpositioned(store: Arc<dyn Store>) {
    let room_id = room("one");
    let create = unplaced(state("create", 0, "m.room.create", ""), EventStatus::Outlier);
    store.append(append(&room_id, None, vec![create])).await.unwrap();
    let loaded = store.load_room(&room_id).await.unwrap().unwrap();
    assert!(loaded.head.is_none());
    assert_eq!(loaded.state.len(), 1);
}

pub(crate) async fn rooms_with_waiting(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    make_room(&store, "two").await;
    let three = make_room(&store, "three").await;
    for (room_id, name) in [(&three, "x"), (&one, "y"), (&one, "z")] {
        put(&store, room_id, vec![unplaced(message(name, 0), EventStatus::Waiting)]).await;
    }
    let mut rooms = store.rooms_with_waiting().await.unwrap();
    rooms.sort();
    assert_eq!(rooms, [one, three.clone()]);
    put(&store, &three, vec![message("x", 2)]).await;
    assert_eq!(store.rooms_with_waiting().await.unwrap().len(), 1);
}

pub(crate) async fn unplaced_in_order_of_arrival(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    make_room(&store, "two").await;
    let events = vec![
        unplaced(message("out", 0), EventStatus::Outlier),
        message("a", 2),
        unplaced(message("no", 0), EventStatus::Rejected),
        unplaced(message("wait", 0), EventStatus::Waiting),
    ];
    let streams = put(&store, &room_id, events).await.streams;
    let found = async |after, limit| {
        let found = store.unplaced(&room_id, after, limit).await.unwrap();
        names(found.iter().map(|event| &event.event_id))
    };
    assert_eq!(found(0, 10).await, ["out", "no", "wait"]);
    assert_eq!(found(0, 2).await, ["out", "no"]);
    assert_eq!(found(streams[2], 10).await, ["wait"]);
    assert!(store.unplaced(&room("nowhere"), 0, 10).await.unwrap().is_empty());
}
