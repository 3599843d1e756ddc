use std::sync::Arc;

use axle_store::{Append, GroupEpoch, MAX_GROUP_EPOCHS, Store};

use super::fixtures::{append, id, make_room, message, room};

fn epoch(epoch: u64, commit: &str, state: &str) -> GroupEpoch {
    GroupEpoch { epoch, commit: id(commit), state: state.into(), is_back: false, awaited: vec![] }
}

fn with(room: &str, head: i64, groups: Vec<GroupEpoch>) -> Append {
    let name = format!("{room}{}", head + 1);
    let room_id = super::fixtures::room(room);
    Append { groups, ..append(&room_id, Some(head), vec![message(&name, head + 1)]) }
}

async fn newest(store: &Arc<dyn Store>, name: &str) -> Option<Vec<u8>> {
    store.load_room(&room(name)).await.unwrap().unwrap().group
}

pub(crate) async fn stored_with_events(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    let two = make_room(&store, "two").await;
    assert_eq!(newest(&store, "one").await, None);
    store.append(with("one", 1, vec![epoch(1, "a", "1"), epoch(2, "b", "2")])).await.unwrap();
    store.append(with("two", 1, vec![epoch(1, "c", "other")])).await.unwrap();
    assert_eq!(newest(&store, "one").await.as_deref(), Some(&b"2"[..]));
    assert_eq!(store.group_after(&one, &id("a")).await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.group_after(&two, &id("a")).await.unwrap(), None, "of another room");
    assert_eq!(store.group_in(&two, 1).await.unwrap().as_deref(), Some(&b"other"[..]));
    // The same epoch in another state; alone.
    store.append(Append { groups: vec![epoch(2, "b", "2+")], ..append(&one, Some(2), vec![]) }).await.unwrap();
    assert_eq!(store.group_in(&one, 2).await.unwrap().as_deref(), Some(&b"2+"[..]));
    // A refused append stores no state either.
    store.append(with("one", 1, vec![epoch(3, "d", "3")])).await.unwrap_err();
    assert_eq!(newest(&store, "one").await.as_deref(), Some(&b"2+"[..]));
    assert_eq!(store.group_after(&room("none"), &id("a")).await.unwrap(), None);
}

pub(crate) async fn the_newest_are_kept(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    for number in 1..=MAX_GROUP_EPOCHS + 2 {
        let group = epoch(number, &format!("commit{number}"), &number.to_string());
        store.append(Append { groups: vec![group], ..append(&room_id, Some(1), vec![]) }).await.unwrap();
    }
    assert_eq!(store.group_in(&room_id, 2).await.unwrap(), None);
    assert_eq!(store.group_in(&room_id, 3).await.unwrap().as_deref(), Some(&b"3"[..]));
}

/// What a device may still come for stays, and no longer than it is awaited.
pub(crate) async fn awaited_ones_are_kept(store: Arc<dyn Store>) {
    let (room_id, other) = (make_room(&store, "one").await, make_room(&store, "two").await);
    store.append(with("two", 1, vec![epoch(1, "other", "other")])).await.unwrap();
    let put = async |number: u64, awaited: &[u64]| {
        let group = epoch(number, &format!("commit{number}"), &number.to_string());
        let group = GroupEpoch { awaited: awaited.to_vec(), ..group };
        store.append(Append { groups: vec![group], ..append(&room_id, Some(1), vec![]) }).await.unwrap();
    };
    for number in 1..=MAX_GROUP_EPOCHS + 5 {
        put(number, &[2, 4]).await;
    }
    for (number, is_kept) in [(1, false), (2, true), (3, false), (4, true), (5, false), (6, true)] {
        assert_eq!(store.group_in(&room_id, number).await.unwrap().is_some(), is_kept, "{number}");
    }
    assert_eq!(store.group_after(&room_id, &id("commit2")).await.unwrap().as_deref(), Some(&b"2"[..]));
    put(MAX_GROUP_EPOCHS + 6, &[4, 7]).await;
    assert_eq!(store.group_in(&room_id, 2).await.unwrap(), None);
    assert!(store.group_in(&room_id, 4).await.unwrap().is_some());
    assert!(store.group_in(&other, 1).await.unwrap().is_some(), "of another room");
}

pub(crate) async fn goes_back(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    store.append(with("one", 1, vec![epoch(1, "a", "1"), epoch(2, "b", "2"), epoch(3, "c", "3")])).await.unwrap();
    let back = GroupEpoch { is_back: true, ..epoch(1, "a", "back") };
    store.append(Append { groups: vec![back], ..append(&room_id, Some(2), vec![]) }).await.unwrap();
    assert_eq!(newest(&store, "one").await.as_deref(), Some(&b"back"[..]));
    assert_eq!(store.group_after(&room_id, &id("b")).await.unwrap(), None);
    assert_eq!(store.group_in(&room_id, 3).await.unwrap(), None);
}
