use std::sync::Arc;

use axle_protocol::RoomId;
use axle_protocol::auth::Membership;
use axle_store::{EventStatus, NewEvent, Store};

use super::fixtures::*;

fn topic(name: &str, position: i64) -> NewEvent {
    state(name, position, "m.room.topic", "")
}

async fn before(store: &Arc<dyn Store>, room_id: &RoomId, position: i64) -> Vec<String> {
    let events = store.state_before(room_id, position).await.unwrap();
    sorted(names(events.iter().map(|event| &event.event_id)))
}

async fn topic_before(store: &Arc<dyn Store>, room_id: &RoomId, position: i64) -> Option<String> {
    let event = store.state_event_before(room_id, position, "m.room.topic", "").await.unwrap()?;
    names([&event.event_id]).pop()
}

pub(crate) async fn current_state(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    put(&store, &room_id, vec![topic("t1", 2), topic("t2", 3), state("other", 4, "m.room.topic", "x")]).await;
    let current = store.current_state(&room_id).await.unwrap();
    assert_eq!(sorted(names(current.iter().map(|event| &event.event_id))), ["one_alice", "one_create", "other", "t2"]);
    let entry = store.state_event(&room_id, "m.room.topic", "").await.unwrap().unwrap();
    assert_eq!((entry.event_id, entry.position), (id("t2"), Some(3)));
    assert!(store.state_event(&room_id, "m.room.topic", "y").await.unwrap().is_none());
    // A soft-failed state event is in the order but not in the state.
    let soft = NewEvent { status: EventStatus::SoftFailed, sets_state: false, ..topic("t3", 5) };
    put(&store, &room_id, vec![soft]).await;
    assert_eq!(store.state_event(&room_id, "m.room.topic", "").await.unwrap().unwrap().event_id, id("t2"));
}

pub(crate) async fn state_before(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    put(&store, &room_id, vec![message("a", 2), topic("t1", 3), message("b", 4), topic("t2", 5)]).await;
    assert!(before(&store, &room_id, 0).await.is_empty());
    assert_eq!(before(&store, &room_id, 1).await, ["one_create"]);
    assert_eq!(before(&store, &room_id, 3).await, ["one_alice", "one_create"]);
    assert_eq!(before(&store, &room_id, 4).await, ["one_alice", "one_create", "t1"]);
    assert_eq!(before(&store, &room_id, 5).await, ["one_alice", "one_create", "t1"]);
    assert_eq!(before(&store, &room_id, 6).await, ["one_alice", "one_create", "t2"]);
    assert_eq!(topic_before(&store, &room_id, 3).await, None);
    assert_eq!(topic_before(&store, &room_id, 5).await.as_deref(), Some("t1"));
    assert_eq!(topic_before(&store, &room_id, i64::MAX).await.as_deref(), Some("t2"));
}

/// What a join brings: state without positions, then the join.
async fn join(store: &Arc<dyn Store>) -> RoomId {
    let room_id = room("far");
    let outlier = |event| unplaced(event, EventStatus::Outlier);
    let events = vec![
        outlier(state("create", 0, "m.room.create", "")),
        outlier(member("bob_joins", 0, &user("bob"), Membership::Join)),
        outlier(topic("t1", 0)),
        unplaced(NewEvent { sets_state: false, ..topic("t0", 0) }, EventStatus::Outlier),
        member("alice_joins", 0, &user("alice"), Membership::Join),
    ];
    store.append(append(&room_id, None, events)).await.unwrap();
    room_id
}

pub(crate) async fn state_of_a_join(store: Arc<dyn Store>) {
    let room_id = join(&store).await;
    assert_eq!(before(&store, &room_id, 0).await, ["bob_joins", "create", "t1"]);
    assert_eq!(before(&store, &room_id, 1).await, ["alice_joins", "bob_joins", "create", "t1"]);
    assert_eq!(store.members(&room_id, Membership::Join).await.unwrap(), [user("alice"), user("bob")]);
    let changes = store.state_changes(&room_id, 0, i64::MAX).await.unwrap();
    assert_eq!(changes.len(), 4, "state that a join brought is news");
}

pub(crate) async fn history_before_a_join(store: Arc<dyn Store>) {
    let room_id = join(&store).await;
    let joined = store.max_stream().await.unwrap();
    // Fetched from the hub: create -4, bob -3, an older topic -2, the topic -1.
    let history = |event| NewEvent { sets_state: false, ..event };
    put(&store, &room_id, vec![history(topic("t0", -2)), history(topic("t1", -1))]).await;
    assert_eq!(before(&store, &room_id, -1).await, ["bob_joins", "create", "t0"]);
    assert_eq!(topic_before(&store, &room_id, -2).await, None);
    assert_eq!(before(&store, &room_id, -2).await, ["bob_joins", "create"], "not placed yet, so older");
    put(&store, &room_id, vec![history(state("create", -4, "m.room.create", ""))]).await;
    put(&store, &room_id, vec![history(member("bob_joins", -3, &user("bob"), Membership::Join))]).await;
    assert_eq!(before(&store, &room_id, -2).await, ["bob_joins", "create"]);
    assert_eq!(before(&store, &room_id, -3).await, ["create"]);
    assert!(before(&store, &room_id, -4).await.is_empty());
    assert_eq!(before(&store, &room_id, 0).await, ["bob_joins", "create", "t1"]);
    assert_eq!(store.state_event(&room_id, "m.room.topic", "").await.unwrap().unwrap().event_id, id("t1"));
    assert!(store.state_changes(&room_id, joined, i64::MAX).await.unwrap().is_empty(), "history is no news");
}

/// Whatever a hub tells of the past, the state that a join brought is what this server has gone by since.
pub(crate) async fn a_join_outweighs_history_that_ends_at_it(store: Arc<dyn Store>) {
    let room_id = join(&store).await;
    put(&store, &room_id, vec![NewEvent { sets_state: false, ..topic("t8", -1) }]).await;
    assert_eq!(topic_before(&store, &room_id, 0).await.as_deref(), Some("t1"));
    assert_eq!(topic_before(&store, &room_id, 1).await.as_deref(), Some("t1"));
    assert_eq!(before(&store, &room_id, 1).await, ["alice_joins", "bob_joins", "create", "t1"]);
}

pub(crate) async fn rejoin_replaces_state(store: Arc<dyn Store>) {
    let room_id = join(&store).await;
    put(&store, &room_id, vec![member("alice_leaves", 1, &user("alice"), Membership::Leave)]).await;
    let left = store.max_stream().await.unwrap();
    // Away, the topic changed and bob left; create is told again.
    let outlier = |event| unplaced(event, EventStatus::Outlier);
    let events = vec![
        outlier(state("create", 0, "m.room.create", "")),
        outlier(topic("t9", 0)),
        outlier(member("bob_leaves", 0, &user("bob"), Membership::Leave)),
        member("alice_again", 10, &user("alice"), Membership::Join),
    ];
    put(&store, &room_id, events).await;
    assert_eq!(before(&store, &room_id, 10).await, ["alice_leaves", "bob_leaves", "create", "t9"]);
    assert_eq!(before(&store, &room_id, 2).await, ["alice_leaves", "bob_joins", "create", "t1"]);
    let changes = store.state_changes(&room_id, left, i64::MAX).await.unwrap();
    assert_eq!(sorted(names(changes.iter().map(|event| &event.event_id))), ["alice_again", "bob_leaves", "t9"]);
    assert_eq!(store.members(&room_id, Membership::Leave).await.unwrap(), [user("bob")]);
}

pub(crate) async fn state_changes(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let since = store.max_stream().await.unwrap();
    put(&store, &room_id, vec![topic("t1", 2), topic("t2", 3), message("a", 4)]).await;
    let middle = store.max_stream().await.unwrap();
    put(&store, &room_id, vec![topic("t3", 5), state("name", 6, "m.room.name", "")]).await;
    let changes = async |after, until| {
        let events = store.state_changes(&room_id, after, until).await.unwrap();
        names(events.iter().map(|event| &event.event_id))
    };
    assert_eq!(changes(since, middle).await, ["t2"]);
    assert_eq!(changes(since, i64::MAX).await, ["t3", "name"]);
    assert_eq!(changes(middle, i64::MAX).await, ["t3", "name"]);
    assert!(changes(i64::MAX - 1, i64::MAX).await.is_empty());
    let some = async |after| store.has_state_changes(&room_id, after).await.unwrap();
    let last = store.max_stream().await.unwrap();
    put(&store, &room_id, vec![message("b", 7)]).await;
    put(&store, &make_room(&store, "two").await, vec![topic("other", 2)]).await;
    assert!(some(since).await && some(middle).await && !some(last).await);
    assert!(changes(last, i64::MAX).await.is_empty());
    assert!(!store.has_state_changes(&room("nowhere"), 0).await.unwrap());
}

pub(crate) async fn same_state_again_changes_nothing(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    put(&store, &room_id, vec![topic("t1", 2)]).await;
    let since = store.max_stream().await.unwrap();
    put(&store, &room_id, vec![topic("t1", 2)]).await;
    assert!(!store.has_state_changes(&room_id, since).await.unwrap());
    assert!(store.state_changes(&room_id, since, i64::MAX).await.unwrap().is_empty());
    assert_eq!(topic_before(&store, &room_id, 9).await.as_deref(), Some("t1"));
}
