use std::sync::Arc;

use axle_protocol::RoomVersion;
use axle_protocol::auth::Membership;
use axle_store::{OutOfRoom, Store};

use super::fixtures::*;

fn entry(who: &str, room_name: &str, membership: Membership) -> OutOfRoom {
    OutOfRoom {
        user_id: user(who),
        room_id: room(room_name),
        room_version: RoomVersion::Unstable02,
        membership,
        event_id: id("invite"),
        json: r#"{"type":"m.room.member"}"#.into(),
        stripped_state: "[]".into(),
        via: vec![server("hub.example"), server("b.example:8449")],
        stream: 0,
    }
}

pub(crate) async fn put_replace_remove(store: Arc<dyn Store>) {
    let first = store.put_out_of_room(entry("alice", "one", Membership::Invite)).await.unwrap();
    let second = store.put_out_of_room(entry("alice", "two", Membership::Knock)).await.unwrap();
    store.put_out_of_room(entry("bob", "one", Membership::Invite)).await.unwrap();
    assert!(second > first && store.max_stream().await.unwrap() > second);
    assert_eq!(store.out_of_room(&user("alice")).await.unwrap().len(), 2);
    let third = store.put_out_of_room(entry("alice", "one", Membership::Leave)).await.unwrap();
    let found = store.out_of_room_in(&user("alice"), &room("one")).await.unwrap().unwrap();
    assert_eq!((found.membership, found.stream), (Membership::Leave, third));
    assert_eq!((found.room_version, found.event_id), (RoomVersion::Unstable02, id("invite")));
    assert_eq!((&*found.json, &*found.stripped_state), (r#"{"type":"m.room.member"}"#, "[]"));
    assert_eq!(found.via, [server("hub.example"), server("b.example:8449")]);
    store.remove_out_of_room(&user("alice"), &room("one")).await.unwrap();
    store.remove_out_of_room(&user("alice"), &room("one")).await.unwrap();
    assert!(store.out_of_room_in(&user("alice"), &room("one")).await.unwrap().is_none());
    assert_eq!(store.out_of_room(&user("alice")).await.unwrap().len(), 1);
    assert_eq!(store.max_stream().await.unwrap(), third);
    make_room(&store, "three").await;
    assert!(store.event(&id("three_create")).await.unwrap().unwrap().stream > third);
}
