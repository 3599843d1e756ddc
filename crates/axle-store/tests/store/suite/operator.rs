use std::collections::BTreeSet;
use std::sync::Arc;

use axle_protocol::auth::Membership;
use axle_protocol::{RoomVersion, ServerName, UserId};
use axle_store::{EventStatus, KeyEnd, KeyUpload, NewKey, RemoteDevices, Store, ToldDevices};

use super::fixtures::*;
use super::one_time_keys::{claim, key, upload};

pub(crate) async fn rooms(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    make_room(&store, "two").await;
    let events = vec![
        member("bob", 2, &user("bob"), Membership::Join),
        member("carol", 3, &user("carol"), Membership::Leave),
        state("Kitchen", 4, "m.room.name", ""),
        unplaced(message("out", 0), EventStatus::Outlier),
    ];
    put(&store, &one, events).await;
    let rooms = store.rooms().await.unwrap();
    assert_eq!(rooms.len(), 2);
    assert_eq!((&rooms[0].room_id, rooms[0].room_version), (&one, RoomVersion::I1));
    assert_eq!((rooms[0].name.as_deref(), rooms[0].joined_members, rooms[0].events), (Some("Kitchen"), 2, 5));
    assert_eq!((rooms[1].name.as_deref(), rooms[1].joined_members, rooms[1].events), (None, 1, 2));
}

pub(crate) async fn blocks(store: Arc<dyn Store>) {
    for name in ["b.example", "a.example", "b.example"] {
        store.block_server(&server(name), true).await.unwrap();
    }
    store.block_room(&room("one"), true).await.unwrap();
    assert_eq!(store.blocked_servers().await.unwrap(), [server("a.example"), server("b.example")]);
    assert_eq!(store.blocked_rooms().await.unwrap(), [room("one")]);
    store.block_server(&server("a.example"), false).await.unwrap();
    store.block_server(&server("never.example"), false).await.unwrap();
    store.block_room(&room("one"), false).await.unwrap();
    assert_eq!(store.blocked_servers().await.unwrap(), [server("b.example")]);
    assert!(store.blocked_rooms().await.unwrap().is_empty());
}

/// What an older copy has of keys may not be true any more.
pub(crate) async fn restored_keys(store: Arc<dyn Store>) {
    let (alice, remote) = (user("a"), UserId::parse("@carol:one.example").unwrap());
    let ending = NewKey { end: Some(KeyEnd { expires: 5_000, fingerprint: "f".into() }), ..key("z", "2") };
    let keys = KeyUpload {
        device_keys: Some("keys".into()),
        one_time_keys: vec![key("y", "1"), ending.clone()],
        fallback_keys: vec![key("x", "3")],
        ..upload("a", "ONE")
    };
    store.upload_keys(keys.clone()).await.unwrap();
    let untold = store.untold_devices(9).await.unwrap().remove(0);
    let told = ToldDevices { last_id: 3, devices: "d".into() };
    store.tell_devices(&alice, untold.changed, told, vec![]).await.unwrap();
    let list = RemoteDevices { user_id: remote.clone(), stream_id: Some(7), json: "list".into() };
    let now = store.max_stream().await.unwrap();
    assert!(store.put_remote_devices(list, now).await.unwrap());

    store.mark_restored().await.unwrap();
    assert_eq!(store.known_remote_devices(&remote).await.unwrap(), None);
    // Told anew, and after whatever was told since.
    let untold = store.untold_devices(9).await.unwrap().remove(0);
    assert_eq!((untold.user_id, untold.told.devices.as_str()), (alice.clone(), ""));
    assert!(untold.told.last_id > 1_000, "{}", untold.told.last_id);
    // The last that is given out is the fallback key, which is to be replaced.
    let counts = store.key_counts(&alice, "ONE", 1_000).await.unwrap();
    assert_eq!((counts.one_time.len(), counts.unused_fallback.len()), (0, 0), "{counts:?}");
    assert_eq!(claim(&store, "ONE", "curve").await.as_deref(), Some("x"));
    // A KeyPackage that may have been used does not come back.
    store.upload_keys(KeyUpload { one_time_keys: vec![ending], ..upload("a", "ONE") }).await.unwrap();
    assert_eq!(claim(&store, "ONE", "curve").await.as_deref(), Some("x"));
}

pub(crate) async fn restored(store: Arc<dyn Store>) {
    let (one, two) = (make_room(&store, "one").await, make_room(&store, "two").await);
    assert!(store.restored_rooms().await.unwrap().is_empty());
    for _ in 0..2 {
        store.mark_restored().await.unwrap();
        assert_eq!(store.restored_rooms().await.unwrap(), [one.clone(), two.clone()]);
    }
    let servers = |names: &[&str]| -> BTreeSet<ServerName> { names.iter().map(|name| server(name)).collect() };
    store.note_asked(&one, &servers(&["b.example", "a.example"])).await.unwrap();
    store.note_asked(&two, &servers(&["b.example"])).await.unwrap();
    store.mark_restored().await.unwrap();
    assert_eq!(store.asked(&one).await.unwrap(), servers(&["a.example", "b.example"]));
    store.note_asked(&one, &servers(&["c.example"])).await.unwrap();
    assert_eq!(store.asked(&one).await.unwrap(), servers(&["c.example"]));
    make_room(&store, "three").await;
    store.unmark_restored(&one).await.unwrap();
    assert!(store.asked(&one).await.unwrap().is_empty());
    assert_eq!(store.asked(&two).await.unwrap(), servers(&["b.example"]));
    store.unmark_restored(&room("never")).await.unwrap();
    assert_eq!(store.restored_rooms().await.unwrap(), [two]);
}
