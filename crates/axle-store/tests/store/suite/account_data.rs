use std::sync::Arc;

use axle_protocol::RoomId;
use axle_store::{AccountData, Expected, PutAccountData, Store};

use super::fixtures::*;

fn entry(room_id: Option<&RoomId>, event_type: &str, content: &str) -> AccountData {
    AccountData { room_id: room_id.cloned(), event_type: event_type.into(), content: content.into(), stream: 0 }
}

/// Stores an entry, whatever there is; its stream position.
async fn put(store: &Arc<dyn Store>, who: &str, entry: AccountData) -> i64 {
    match store.put_account_data(&user(who), entry, Expected::Anything).await.unwrap() {
        PutAccountData::Stored(stream) => stream,
        other => panic!("{other:?}"),
    }
}

async fn content(store: &Arc<dyn Store>, who: &str, room_id: Option<&RoomId>, event_type: &str) -> Option<String> {
    let entry = store.account_data(&user(who), room_id, event_type).await.unwrap()?;
    assert_eq!((entry.room_id.as_ref(), &*entry.event_type), (room_id, event_type));
    Some(entry.content.to_string())
}

pub(crate) async fn put_and_replace(store: Arc<dyn Store>) {
    let one = room("one");
    assert_eq!(content(&store, "alice", None, "m.direct").await, None);
    let first = put(&store, "alice", entry(None, "m.direct", r#"{"a":1}"#)).await;
    let second = put(&store, "alice", entry(Some(&one), "m.direct", r#"{"a":2}"#)).await;
    put(&store, "bob", entry(None, "m.direct", r#"{"a":3}"#)).await;
    let last = put(&store, "alice", entry(None, "m.direct", r#"{"a":4}"#)).await;
    assert!(first < second && second < last);
    assert_eq!(store.max_stream().await.unwrap(), last);
    assert_eq!(content(&store, "alice", None, "m.direct").await.as_deref(), Some(r#"{"a":4}"#));
    assert_eq!(content(&store, "alice", Some(&one), "m.direct").await.as_deref(), Some(r#"{"a":2}"#));
    assert_eq!(content(&store, "bob", None, "m.direct").await.as_deref(), Some(r#"{"a":3}"#));
    assert_eq!(content(&store, "alice", Some(&room("two")), "m.direct").await, None);
    assert_eq!(content(&store, "alice", None, "m.other").await, None);
    // What comes afterwards comes after it.
    make_room(&store, "one").await;
    assert!(store.event(&id("one_create")).await.unwrap().unwrap().stream > last);
}

pub(crate) async fn changes(store: Arc<dyn Store>) {
    let one = room("one");
    let start = put(&store, "alice", entry(None, "a", "{}")).await;
    let b = put(&store, "alice", entry(Some(&one), "b", "{}")).await;
    put(&store, "bob", entry(None, "c", "{}")).await;
    let d = put(&store, "alice", entry(None, "d", "{}")).await;
    let told = async |after, until| -> Vec<(String, i64)> {
        let entries = store.account_data_changes(&user("alice"), after, until).await.unwrap();
        entries.into_iter().map(|entry| (entry.event_type, entry.stream)).collect()
    };
    assert_eq!(told(start, d).await, [("b".into(), b), ("d".into(), d)]);
    assert_eq!(told(-1, b).await, [("a".into(), start), ("b".into(), b)]);
    assert!(told(d, i64::MAX).await.is_empty());
    let some = async |who: &str, after| store.has_account_data_changes(&user(who), after).await.unwrap();
    assert!(some("alice", start).await && some("alice", d - 1).await && some("bob", b).await);
    assert!(!some("alice", d).await && !some("bob", d).await && !some("carol", -1).await);
    let again = put(&store, "alice", entry(None, "a", r#"{"new":true}"#)).await;
    assert_eq!(told(-1, i64::MAX).await, [("b".into(), b), ("d".into(), d), ("a".into(), again)]);
    let entries = store.account_data_changes(&user("alice"), d, again).await.unwrap();
    assert_eq!(entries, [AccountData { stream: again, ..entry(None, "a", r#"{"new":true}"#) }]);
}

pub(crate) async fn only_what_is_expected(store: Arc<dyn Store>) {
    let put_over = async |expected, content: &str| {
        store.put_account_data(&user("alice"), entry(None, "a", content), expected).await.unwrap()
    };
    assert_eq!(put_over(Expected::Stream(0), "{}").await, PutAccountData::Unexpected);
    let PutAccountData::Stored(first) = put_over(Expected::Nothing, "{}").await else { panic!("not stored") };
    assert_eq!(put_over(Expected::Nothing, r#"{"no":1}"#).await, PutAccountData::Unexpected);
    let before = store.max_stream().await.unwrap();
    assert_eq!(put_over(Expected::Stream(first + 1), r#"{"no":1}"#).await, PutAccountData::Unexpected);
    assert_eq!(store.max_stream().await.unwrap(), before);
    assert_eq!(content(&store, "alice", None, "a").await.as_deref(), Some("{}"));
    let second = put_over(Expected::Stream(first), r#"{"yes":1}"#).await;
    assert!(matches!(second, PutAccountData::Stored(second) if second > first), "{second:?}");
    assert_eq!(put_over(Expected::Stream(first), r#"{"no":1}"#).await, PutAccountData::Unexpected);
    assert_eq!(content(&store, "alice", None, "a").await.as_deref(), Some(r#"{"yes":1}"#));
}

pub(crate) async fn of_a_room(store: Arc<dyn Store>) {
    let (one, two) = (room("one"), room("two"));
    put(&store, "alice", entry(Some(&one), "b", "{}")).await;
    put(&store, "alice", entry(Some(&two), "b", "{}")).await;
    let until = put(&store, "alice", entry(Some(&one), "a", "{}")).await;
    put(&store, "alice", entry(Some(&one), "c", "{}")).await;
    put(&store, "alice", entry(None, "a", "{}")).await;
    put(&store, "bob", entry(Some(&one), "a", "{}")).await;
    let entries = store.room_account_data(&user("alice"), &one, until).await.unwrap();
    let types: Vec<_> = entries.iter().map(|entry| &*entry.event_type).collect();
    assert_eq!(types, ["b", "a"]);
}
