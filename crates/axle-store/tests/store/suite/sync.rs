use std::sync::Arc;

use axle_protocol::RoomId;
use axle_protocol::auth::Membership;
use axle_store::{EventStatus, NewEvent, Store};

use super::fixtures::*;

async fn timeline(
    store: &Arc<dyn Store>,
    room_id: &RoomId,
    after: i64,
    until: i64,
    limit: usize,
) -> (Vec<String>, bool) {
    let sync = store.sync_room(room_id, after, until, limit).await.unwrap();
    (names(sync.timeline.iter().map(|event| &event.event_id)), sync.limited)
}

pub(crate) async fn newest_first_and_limited(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let since = store.max_stream().await.unwrap();
    assert_eq!(timeline(&store, &room_id, since, i64::MAX, 5).await, (vec![], false));
    let soft = NewEvent { status: EventStatus::SoftFailed, ..message("hidden", 4) };
    put(&store, &room_id, vec![message("a", 2), message("b", 3), soft, message("c", 5)]).await;
    let all = (vec!["a".into(), "b".into(), "c".into()], false);
    assert_eq!(timeline(&store, &room_id, since, i64::MAX, 5).await, all);
    assert_eq!(timeline(&store, &room_id, since, i64::MAX, 3).await, all);
    assert_eq!(timeline(&store, &room_id, since, i64::MAX, 2).await, (vec!["b".into(), "c".into()], true));
    let (everything, limited) = timeline(&store, &room_id, 0, i64::MAX, 10).await;
    assert_eq!((everything.len(), limited), (5, false));
}

pub(crate) async fn history_is_no_news(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let since = store.max_stream().await.unwrap();
    put(&store, &room_id, vec![message("older", -2), message("old", -1)]).await;
    assert_eq!(timeline(&store, &room_id, since, i64::MAX, 5).await, (vec![], false));
    put(&store, &room_id, vec![message("new", 2)]).await;
    assert_eq!(timeline(&store, &room_id, since, i64::MAX, 5).await, (vec!["new".into()], false));
    assert_eq!(timeline(&store, &room_id, 0, i64::MAX, 5).await.0.len(), 3);
}

pub(crate) async fn until_is_respected(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let since = store.max_stream().await.unwrap();
    put(&store, &room_id, vec![message("a", 2)]).await;
    let until = store.max_stream().await.unwrap();
    put(&store, &room_id, vec![message("b", 3)]).await;
    assert_eq!(timeline(&store, &room_id, since, until, 5).await, (vec!["a".into()], false));
    assert_eq!(timeline(&store, &room_id, until, i64::MAX, 5).await, (vec!["b".into()], false));
}

pub(crate) async fn user_rooms(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    let two = make_room(&store, "two").await;
    make_room(&store, "three").await;
    put(&store, &one, vec![member("bob_one", 2, &user("bob"), Membership::Join)]).await;
    let left = put(&store, &two, vec![member("bob_two", 2, &user("bob"), Membership::Leave), message("x", 3)]).await;
    let mut rooms = store.user_rooms(&user("bob")).await.unwrap();
    rooms.sort_by(|a, b| a.room_id.cmp(&b.room_id));
    assert_eq!(rooms.iter().map(|entry| &entry.room_id).collect::<Vec<_>>(), [&one, &two]);
    assert_eq!((rooms[0].membership, rooms[1].membership), (Membership::Join, Membership::Leave));
    assert_eq!((&rooms[1].event_id, rooms[1].position), (&id("bob_two"), Some(2)));
    assert_eq!((rooms[1].stream, rooms[1].room_stream), (left.streams[0], left.streams[1]));
}

pub(crate) async fn user_rooms_changed(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    let two = make_room(&store, "two").await;
    let changed = async |after| {
        let rooms = store.user_rooms_changed(&user("alice"), after).await.unwrap();
        let mut rooms: Vec<_> = rooms.into_iter().map(|entry| entry.room_id).collect();
        rooms.sort();
        rooms
    };
    let since = store.max_stream().await.unwrap();
    assert!(changed(since).await.is_empty());
    assert_eq!(changed(0).await, [one.clone(), two.clone()]);
    put(&store, &two, vec![message("a", 2), message("b", 3)]).await;
    assert_eq!(changed(since).await, [two]);
    assert!(store.user_rooms_changed(&user("bob"), 0).await.unwrap().is_empty());
}

pub(crate) async fn user_rooms_changed_after_much(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    let two = make_room(&store, "two").await;
    let since = store.max_stream().await.unwrap();
    let many = (2..1500).map(|position| message(&format!("m{position}"), position)).collect();
    put(&store, &two, many).await;
    let rooms = store.user_rooms_changed(&user("alice"), since).await.unwrap();
    assert_eq!(rooms.iter().map(|entry| &entry.room_id).collect::<Vec<_>>(), [&two]);
    put(&store, &one, vec![message("a", 2)]).await;
    assert_eq!(store.user_rooms_changed(&user("alice"), since).await.unwrap().len(), 2);
}

pub(crate) async fn members(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    let two = make_room(&store, "two").await;
    let events = vec![
        member("bob_invited", 2, &user("bob"), Membership::Invite),
        member("carol", 3, &user("carol"), Membership::Join),
        member("bob_joins", 4, &user("bob"), Membership::Join),
        member("carol_banned", 5, &user("carol"), Membership::Ban),
    ];
    put(&store, &one, events).await;
    assert_eq!(store.members(&one, Membership::Join).await.unwrap(), [user("alice"), user("bob")]);
    assert_eq!(store.members(&one, Membership::Ban).await.unwrap(), [user("carol")]);
    assert!(store.members(&one, Membership::Invite).await.unwrap().is_empty());
    let joined =
        async |who| store.joined_among(&user(who), vec![room("nowhere"), two.clone(), one.clone()]).await.unwrap();
    assert_eq!(joined("alice").await, [two.clone(), one.clone()]);
    assert_eq!(joined("bob").await, std::slice::from_ref(&one));
    assert!(joined("carol").await.is_empty());
    let count = async |room_id: &RoomId, limit| store.joined_count(room_id, limit).await.unwrap();
    assert_eq!((count(&one, 10).await, count(&one, 1).await), (2, 1));
    assert_eq!((count(&two, 10).await, count(&room("nowhere"), 10).await), (1, 0));
    assert_eq!(store.members(&two, Membership::Join).await.unwrap(), [user("alice")]);
}
