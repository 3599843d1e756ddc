use std::sync::Arc;

use axle_protocol::RoomVersion;
use axle_protocol::auth::Membership;
use axle_store::{EventStatus, OutOfRoom, Receipt, ReceiptType, ServiceProgress, Store};

use super::fixtures::*;

pub(crate) async fn progress_is_kept(store: Arc<dyn Store>) {
    make_room(&store, "one").await;
    let now = store.max_stream().await.unwrap();
    let first = store.service_progress("irc").await.unwrap();
    assert_eq!(first, ServiceProgress { delivered: now, txn: 0, until: None });
    make_room(&store, "two").await;
    assert_eq!(store.service_progress("irc").await.unwrap(), first, "it has begun already");
    assert!(store.service_progress("other").await.unwrap().delivered > now);
    let sent = ServiceProgress { txn: 7, until: Some(now + 1), ..first };
    store.put_service_progress("irc", sent).await.unwrap();
    assert_eq!(store.service_progress("irc").await.unwrap(), sent);
}

pub(crate) async fn what_happened_in_order(store: Arc<dyn Store>) {
    let (one, two) = (make_room(&store, "one").await, make_room(&store, "two").await);
    let start = store.max_stream().await.unwrap();
    put(&store, &two, vec![message("a", 2)]).await;
    put(&store, &one, vec![unplaced(message("waits", 9), EventStatus::Waiting), message("b", 2)]).await;
    let receipt = |who: &str, receipt_type| Receipt {
        user_id: user(who),
        receipt_type,
        thread: None,
        event_id: id("b"),
        position: 2,
        ts: 5,
        stream: 0,
    };
    store.put_receipt(&one, receipt("bob", ReceiptType::ReadPrivate)).await.unwrap();
    let public = store.put_receipt(&one, receipt("alice", ReceiptType::Read)).await.unwrap().unwrap();
    let invite = OutOfRoom {
        user_id: user("bob"),
        room_id: room("elsewhere"),
        room_version: RoomVersion::I1,
        membership: Membership::Invite,
        event_id: id("invite"),
        json: "{}".into(),
        stripped_state: "[]".into(),
        via: Vec::new(),
        stream: 0,
    };
    let invited = store.put_out_of_room(invite).await.unwrap();

    let events = store.events_in_stream(start, i64::MAX, 10).await.unwrap();
    assert_eq!(names(events.iter().map(|event| &event.event_id)), ["a", "waits", "b"]);
    assert_eq!((&events[0].room_id, &events[2].room_id), (&two, &one));
    let second = store.events_in_stream(events[0].stream, events[1].stream, 10).await.unwrap();
    assert_eq!(names(second.iter().map(|event| &event.event_id)), ["waits"]);
    let limited = store.events_in_stream(start, i64::MAX, 2).await.unwrap();
    assert_eq!(names(limited.iter().map(|event| &event.event_id)), ["a", "waits"]);

    let receipts = store.receipts_in_stream(start, i64::MAX, 10).await.unwrap();
    let told: Vec<_> = receipts.iter().map(|(room_id, it)| (room_id, &it.user_id, it.stream)).collect();
    assert_eq!(told, [(&one, &user("alice"), public)]);
    assert!(store.receipts_in_stream(public, i64::MAX, 10).await.unwrap().is_empty());
    let outside = store.out_of_room_in_stream(start, i64::MAX, 10).await.unwrap();
    assert_eq!(outside.iter().map(|entry| entry.stream).collect::<Vec<_>>(), [invited]);
    assert!(store.out_of_room_in_stream(start, invited - 1, 10).await.unwrap().is_empty());
}

pub(crate) async fn rooms_of_networks(store: Arc<dyn Store>) {
    for (network, name) in [("libera", "b"), ("libera", "a"), ("libera", "c"), ("oftc", "a")] {
        store.set_listed_on_network("irc", network, &room(name), true).await.unwrap();
    }
    store.set_listed_on_network("irc", "libera", &room("c"), false).await.unwrap();
    store.set_listed_on_network("irc", "libera", &room("a"), true).await.unwrap();
    let list = async |service: &str, network: &str, after: Option<&str>, limit| {
        let after = after.map(room);
        let rooms = store.rooms_on_network(service, network, after.as_ref(), limit).await.unwrap();
        rooms.iter().map(|room_id| room_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list("irc", "libera", None, 9).await, ["!a:hub.example", "!b:hub.example"]);
    assert_eq!(list("irc", "libera", None, 1).await, ["!a:hub.example"]);
    assert_eq!(list("irc", "libera", Some("a"), 9).await, ["!b:hub.example"]);
    assert_eq!(list("irc", "oftc", None, 9).await, ["!a:hub.example"]);
    assert!(list("other", "libera", None, 9).await.is_empty());
}
