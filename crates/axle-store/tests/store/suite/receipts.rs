use std::sync::Arc;

use axle_protocol::RoomId;
use axle_protocol::auth::Membership;
use axle_store::{Receipt, ReceiptType, RoomReceipts, Store};

use super::fixtures::*;

fn receipt(who: &str, thread: Option<&str>, position: i64) -> Receipt {
    Receipt {
        user_id: user(who),
        receipt_type: ReceiptType::Read,
        thread: thread.map(str::to_owned),
        event_id: id(&format!("e{position}")),
        position,
        ts: 7,
        stream: 0,
    }
}

fn private(receipt: Receipt) -> Receipt {
    Receipt { receipt_type: ReceiptType::ReadPrivate, ..receipt }
}

async fn put(store: &Arc<dyn Store>, room_id: &RoomId, receipt: Receipt) -> i64 {
    store.put_receipt(room_id, receipt).await.unwrap().unwrap()
}

async fn told(store: &Arc<dyn Store>, room_id: &RoomId, reader: &str, after: i64, until: i64) -> RoomReceipts {
    store.receipts(room_id, &user(reader), after, until, 100).await.unwrap()
}

pub(crate) async fn only_forwards(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    let first = put(&store, &one, receipt("alice", None, 5)).await;
    assert_eq!(store.max_stream().await.unwrap(), first);
    for position in [4, 5] {
        assert_eq!(store.put_receipt(&one, receipt("alice", None, position)).await.unwrap(), None);
    }
    assert_eq!(store.max_stream().await.unwrap(), first, "nothing was written");
    // Each type and each thread has its own.
    let main = put(&store, &one, receipt("alice", Some("main"), 3)).await;
    let hidden = put(&store, &one, private(receipt("alice", None, 2))).await;
    let last = put(&store, &one, receipt("alice", None, 6)).await;
    let expected = [
        Receipt { stream: main, ..receipt("alice", Some("main"), 3) },
        Receipt { stream: hidden, ..private(receipt("alice", None, 2)) },
        Receipt { stream: last, ..receipt("alice", None, 6) },
    ];
    assert_eq!(told(&store, &one, "alice", last, i64::MAX).await.own, expected);
    assert_eq!(store.put_receipt(&room("nowhere"), receipt("alice", None, 1)).await.unwrap(), None);
    // What comes afterwards comes after it.
    assert!(put_event(&store, &one).await > last);
}

async fn put_event(store: &Arc<dyn Store>, room_id: &RoomId) -> i64 {
    super::fixtures::put(store, room_id, vec![message("later", 2)]).await.streams[0]
}

pub(crate) async fn who_learns_what(store: Arc<dyn Store>) {
    let (one, two) = (make_room(&store, "one").await, make_room(&store, "two").await);
    put(&store, &two, receipt("bob", None, 1)).await;
    let start = put(&store, &one, receipt("bob", None, 1)).await;
    let hidden = put(&store, &one, private(receipt("bob", None, 2))).await;
    let carol = put(&store, &one, receipt("carol", None, 1)).await;
    let dave = put(&store, &one, receipt("dave", None, 1)).await;
    let streams = |receipts: Vec<Receipt>| receipts.into_iter().map(|receipt| receipt.stream).collect::<Vec<_>>();
    let alice = told(&store, &one, "alice", 0, i64::MAX).await;
    assert_eq!((streams(alice.own), streams(alice.others)), (vec![], vec![start, carol, dave]));
    let bob = told(&store, &one, "bob", 0, i64::MAX).await;
    assert_eq!((streams(bob.own), streams(bob.others)), (vec![start, hidden], vec![carol, dave]));
    let bob = told(&store, &one, "bob", carol, start).await;
    assert_eq!((streams(bob.own), streams(bob.others)), (vec![start], vec![]));
    assert_eq!(streams(told(&store, &one, "alice", start, carol).await.others), [carol]);
    let some = async |room_id: &RoomId, after| store.has_receipts(room_id, after).await.unwrap();
    assert!(some(&one, 0).await && some(&one, carol).await && some(&two, 0).await);
    assert!(!some(&one, dave).await && !some(&two, start).await && !some(&room("nowhere"), 0).await);
    let newest = store.receipts(&one, &user("alice"), 0, i64::MAX, 2).await.unwrap();
    assert_eq!(streams(newest.others), [carol, dave]);
    assert_eq!(told(&store, &room("nowhere"), "alice", 0, i64::MAX).await, RoomReceipts::default());
}

fn names_of(rooms: Vec<RoomId>) -> Vec<String> {
    rooms.into_iter().map(|room_id| room_id.to_string()).collect()
}

pub(crate) async fn rooms_with_news(store: Arc<dyn Store>) {
    let (one, two) = (make_room(&store, "one").await, make_room(&store, "two").await);
    let start = super::fixtures::put(&store, &one, vec![member("bob_one", 2, &user("bob"), Membership::Join)]).await;
    let start = start.streams[0];
    let rooms = async |who: &str, after, until| {
        let mut rooms = store.rooms_with_receipts(&user(who), after, until).await.unwrap();
        rooms.sort();
        names_of(rooms)
    };
    assert!(rooms("alice", 0, i64::MAX).await.is_empty());
    let in_two = put(&store, &two, receipt("alice", None, 1)).await;
    let hidden = put(&store, &one, private(receipt("bob", None, 2))).await;
    assert_eq!(rooms("alice", start, i64::MAX).await, ["!two:hub.example"]);
    assert_eq!(rooms("bob", start, i64::MAX).await, ["!one:hub.example"]);
    assert!(rooms("bob", start, in_two).await.is_empty() && rooms("bob", hidden, i64::MAX).await.is_empty());
    // Who missed much is told the same.
    let many = (3..1500).map(|position| message(&format!("m{position}"), position)).collect();
    super::fixtures::put(&store, &one, many).await;
    assert_eq!(rooms("alice", start, i64::MAX).await, ["!two:hub.example"]);
    assert_eq!(rooms("bob", start, i64::MAX).await, ["!one:hub.example"]);
    assert!(rooms("bob", start, in_two).await.is_empty());
    put(&store, &one, receipt("bob", None, 3)).await;
    assert_eq!(rooms("alice", start, i64::MAX).await, ["!one:hub.example", "!two:hub.example"]);
    assert!(rooms("carol", 0, i64::MAX).await.is_empty());
}
