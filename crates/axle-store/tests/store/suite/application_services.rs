use std::sync::Arc;

use axle_protocol::RoomVersion;
use axle_protocol::auth::Membership;
use axle_store::{
    ClientTxnKey, EventStatus, KeyUpload, NewToDevice, OutOfRoom, Receipt, ReceiptType, ServiceProgress, Store,
};

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
    // Of all networks, each once; but not what is on the server's own list.
    let all = async |after: Option<&str>, limit| {
        let after = after.map(room);
        let rooms = store.rooms_on_networks_only(after.as_ref(), limit).await.unwrap();
        rooms.iter().map(|room_id| room_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(all(None, 9).await, ["!a:hub.example", "!b:hub.example"]);
    assert_eq!(all(None, 1).await, ["!a:hub.example"]);
    assert_eq!(all(Some("a"), 9).await, ["!b:hub.example"]);
    assert!(all(Some("b"), 9).await.is_empty() && all(None, 0).await.is_empty());
}

pub(crate) async fn what_encryption_needs(store: Arc<dyn Store>) {
    for (name, id, token) in [("a", "ONE", 1), ("a", "TWO", 2), ("b", "ONE", 3)] {
        store.put_device(device(name, id, token)).await.unwrap();
    }
    let start = store.max_stream().await.unwrap();
    let send = async |to: &str, text: &str| {
        let message = NewToDevice { user_id: user(to), device_id: None, json: text.into() };
        let key = ClientTxnKey {
            user_id: user("c"),
            device_id: "D".into(),
            scope: "sendToDevice".into(),
            txn_id: text.into(),
        };
        assert!(store.send_to_device(key, vec![message], Vec::new()).await.unwrap());
    };
    for (to, text) in [("a", "first"), ("b", "second"), ("a", "third")] {
        send(to, text).await;
    }
    let read = async |after, limit| {
        let found = store.to_device_in_stream(after, i64::MAX, limit).await.unwrap();
        found.into_iter().map(|(user, device, message)| (format!("{user} {device} {}", message.json), message.stream))
    };
    let texts = async |after, limit| read(after, limit).await.map(|(text, _)| text).collect::<Vec<_>>();
    let [a, b] = ["a", "b"].map(user);
    let first = [format!("{a} ONE first"), format!("{a} TWO first")];
    assert_eq!(texts(start, 1).await, first, "both are at one place");
    assert_eq!(texts(start, 2).await, first);
    assert_eq!(texts(start, 3).await.len(), 3);
    assert_eq!(texts(start, 9).await.len(), 5);
    let after = read(start, 1).await.next().unwrap().1;
    assert_eq!(texts(after, 1).await, [format!("{b} ONE second")]);
    store.remove_to_device(&b, "ONE", i64::MAX).await.unwrap();
    assert_eq!(texts(after, 9).await, [format!("{a} ONE third"), format!("{a} TWO third")]);

    let publish = async |name: &str, keys: &str| {
        let upload = KeyUpload {
            user_id: user(name),
            device_id: "ONE".into(),
            device_keys: Some(keys.into()),
            one_time_keys: Vec::new(),
            fallback_keys: Vec::new(),
            forget: None,
        };
        assert!(store.upload_keys(upload).await.unwrap());
    };
    publish("a", "{}").await;
    publish("b", "{}").await;
    publish("a", "{\"new\":1}").await;
    let changes = store.key_changes_in_stream(start, i64::MAX, 9).await.unwrap();
    let users: Vec<_> = changes.iter().map(|(user_id, _)| user_id.clone()).collect();
    assert_eq!(users, [b.clone(), a], "the last change counts");
    let one = store.key_changes_in_stream(start, changes[0].1, 9).await.unwrap();
    assert_eq!(one, [(b, changes[0].1)]);
    assert_eq!(store.key_changes_in_stream(start, i64::MAX, 1).await.unwrap().len(), 1);
}
