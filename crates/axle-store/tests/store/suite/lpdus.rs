use std::sync::Arc;

use axle_protocol::event::Hash;
use axle_store::{
    Append, ClientTxn, ClientTxnKey, ClientTxnState, EventStatus, NewEvent, PendingLpdu, Store, StoreError,
};

use super::fixtures::*;

const HASH: Hash = [7; 32];

fn key(txn_id: &str) -> ClientTxnKey {
    ClientTxnKey {
        user_id: user("alice"),
        device_id: "PHONE".into(),
        scope: "send/!one:hub.example/m.room.message".into(),
        txn_id: txn_id.into(),
    }
}

fn lpdu(room_name: &str, hash: Hash, client_txn: Option<ClientTxnKey>) -> PendingLpdu {
    PendingLpdu { id: 0, room_id: room(room_name), lpdu_hash: hash, json: "{}".into(), client_txn }
}

fn echo(name: &str, position: i64, hash: Hash) -> NewEvent {
    with_lpdu(message(name, position), hash)
}

pub(crate) async fn queue_in_order(store: Arc<dyn Store>) {
    let first = store.queue_lpdu(lpdu("one", [1; 32], Some(key("1")))).await.unwrap();
    let second = store.queue_lpdu(lpdu("two", [2; 32], None)).await.unwrap();
    let third = store.queue_lpdu(lpdu("one", [3; 32], None)).await.unwrap();
    assert!(first < second && second < third);
    assert_eq!(store.queue_lpdu(lpdu("one", [3; 32], None)).await.unwrap(), third, "queued once");
    let all = store.pending_lpdus(None).await.unwrap();
    assert_eq!(all.iter().map(|lpdu| lpdu.id).collect::<Vec<_>>(), [first, second, third]);
    let waiting = async || store.destinations().await.unwrap().into_iter().map(|status| status.pending).sum::<u64>();
    assert_eq!(waiting().await, 0, "they name no hub");
    let with_hub = PendingLpdu { json: r#"{"hub_server":"hub.example"}"#.into(), ..lpdu("three", [5; 32], None) };
    store.queue_lpdu(with_hub).await.unwrap();
    assert_eq!(waiting().await, 1);
    assert!(store.pending_destinations().await.unwrap().is_empty(), "that is about events in rooms");
    store.refuse_lpdu(&[5; 32], "no").await.unwrap();
    let one = store.pending_lpdus(Some(&room("one"))).await.unwrap();
    assert_eq!(one.iter().map(|lpdu| lpdu.lpdu_hash).collect::<Vec<_>>(), [[1; 32], [3; 32]]);
    assert_eq!((one[0].client_txn.clone(), &*one[0].json), (Some(key("1")), "{}"));
    store.refuse_lpdu(&[3; 32], "no").await.unwrap();
    let fourth = store.queue_lpdu(lpdu("one", [4; 32], None)).await.unwrap();
    assert!(fourth > third, "ids are not used again");
}

pub(crate) async fn settled_by_echo(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    store.queue_lpdu(lpdu("one", HASH, Some(key("1")))).await.unwrap();
    let pending = ClientTxnState::Pending { room_id: room_id.clone(), lpdu_hash: HASH };
    assert_eq!(store.client_txn(&key("1")).await.unwrap(), Some(pending));
    let settled = Append { settled_lpdus: vec![HASH], ..append(&room_id, Some(1), vec![echo("a", 2, HASH)]) };
    store.append(settled).await.unwrap();
    assert_eq!(store.client_txn(&key("1")).await.unwrap(), Some(ClientTxnState::Done(id("a"))));
    assert!(store.pending_lpdus(None).await.unwrap().is_empty());
    // The event was there first: settled all the same.
    put(&store, &room_id, vec![echo("b", 3, [8; 32])]).await;
    store.queue_lpdu(lpdu("one", [8; 32], Some(key("2")))).await.unwrap();
    store.append(Append { settled_lpdus: vec![[8; 32]], ..append(&room_id, Some(3), vec![]) }).await.unwrap();
    assert_eq!(store.client_txn(&key("2")).await.unwrap(), Some(ClientTxnState::Done(id("b"))));
}

pub(crate) async fn settled_by_rejection(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    store.queue_lpdu(lpdu("one", HASH, Some(key("1")))).await.unwrap();
    let rejected = unplaced(echo("a", 0, HASH), EventStatus::Rejected);
    store.append(Append { settled_lpdus: vec![HASH], ..append(&room_id, Some(1), vec![rejected]) }).await.unwrap();
    let state = store.client_txn(&key("1")).await.unwrap();
    assert!(matches!(state, Some(ClientTxnState::Refused(_))), "{state:?}");
    assert!(store.pending_lpdus(None).await.unwrap().is_empty());
}

pub(crate) async fn refused(store: Arc<dyn Store>) {
    store.queue_lpdu(lpdu("one", HASH, Some(key("1")))).await.unwrap();
    store.refuse_lpdu(&HASH, "not in the room").await.unwrap();
    store.refuse_lpdu(&HASH, "again").await.unwrap();
    let expected = ClientTxnState::Refused("not in the room".into());
    assert_eq!(store.client_txn(&key("1")).await.unwrap(), Some(expected));
    assert!(store.pending_lpdus(Some(&room("one"))).await.unwrap().is_empty());
}

pub(crate) async fn known_lpdus(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let other = make_room(&store, "two").await;
    put(&store, &room_id, vec![echo("a", 2, [1; 32]), echo("b", 3, [2; 32]), message("c", 4)]).await;
    let mut known = store.known_lpdus(&room_id, &[[2; 32], [3; 32], [1; 32]]).await.unwrap();
    known.sort();
    assert_eq!(known, [([1; 32], id("a")), ([2; 32], id("b"))]);
    assert!(store.known_lpdus(&other, &[[1; 32]]).await.unwrap().is_empty());
    assert!(store.known_lpdus(&room_id, &[]).await.unwrap().is_empty());
}

pub(crate) async fn unasked_lpdus(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let other = make_room(&store, "two").await;
    let unasked = |room_id, head, events| Append { lpdus_unasked: true, ..append(room_id, Some(head), events) };
    store.append(unasked(&room_id, 1, vec![echo("a", 2, [1; 32]), message("b", 3)])).await.unwrap();
    let repeated = unasked(&room_id, 3, vec![echo("c", 4, [2; 32]), echo("d", 5, [1; 32])]);
    let refused = store.append(repeated.clone()).await.unwrap_err();
    let StoreError::LpduKnown { room_id: told, event_id } = &refused else { panic!("{refused}") };
    assert_eq!((told.as_str(), event_id.as_str()), (room_id.as_str(), id("a").as_str()));
    assert_eq!(head(&store, &room_id).await, Some(3), "nothing was written");
    // The same LPDU hash in another room is another LPDU; and who has asked decides alone.
    store.append(unasked(&other, 1, vec![echo("x", 2, [1; 32])])).await.unwrap();
    store.append(Append { lpdus_unasked: false, ..repeated }).await.unwrap();
    assert_eq!(head(&store, &room_id).await, Some(5));
}

pub(crate) async fn client_txns(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    assert_eq!(store.client_txn(&key("1")).await.unwrap(), None);
    let txn = |txn_id, name| ClientTxn { key: key(txn_id), event_id: id(name) };
    let first = Append { client_txns: vec![txn("1", "a")], ..append(&room_id, Some(1), vec![message("a", 2)]) };
    store.append(first).await.unwrap();
    assert_eq!(store.client_txn(&key("1")).await.unwrap(), Some(ClientTxnState::Done(id("a"))));
    let again = Append { client_txns: vec![txn("1", "b")], ..append(&room_id, Some(2), vec![message("b", 3)]) };
    store.append(again).await.unwrap();
    assert_eq!(store.client_txn(&key("1")).await.unwrap(), Some(ClientTxnState::Done(id("a"))), "the first stays");
    // A refused append stores no transaction either.
    let refused = Append { client_txns: vec![txn("2", "c")], ..append(&room_id, Some(0), vec![message("c", 4)]) };
    store.append(refused).await.unwrap_err();
    assert_eq!(store.client_txn(&key("2")).await.unwrap(), None);
}
