use std::sync::Arc;

use axle_protocol::UserId;
use axle_protocol::auth::Membership;
use axle_store::{KeyUpload, RemoteDevices, Store, ToldDevices};

use super::fixtures::*;

fn carol() -> UserId {
    UserId::parse("@carol:one.example").unwrap()
}

fn list(stream_id: i64) -> RemoteDevices {
    RemoteDevices { user_id: carol(), stream_id: Some(stream_id), json: format!("list {stream_id}") }
}

async fn upload(store: &Arc<dyn Store>, keys: &str) {
    let upload = KeyUpload {
        user_id: user("alice"),
        device_id: "ONE".into(),
        device_keys: Some(keys.into()),
        one_time_keys: vec![],
        fallback_keys: vec![],
        forget: None,
    };
    store.upload_keys(upload).await.unwrap();
}

async fn good(store: &Arc<dyn Store>, viewer: &str) -> Vec<RemoteDevices> {
    store.remote_devices(&user(viewer), vec![carol(), user("bob")]).await.unwrap()
}

pub(crate) async fn changes_are_told_once(store: Arc<dyn Store>) {
    assert!(store.untold_devices(9).await.unwrap().is_empty());
    upload(&store, "1").await;
    let untold = store.untold_devices(9).await.unwrap().remove(0);
    assert_eq!((&untold.user_id, &untold.told), (&user("alice"), &ToldDevices::default()));
    // It changes again before this is told.
    upload(&store, "2").await;
    let told = ToldDevices { last_id: 3, devices: "d".into() };
    store.tell_devices(&user("alice"), untold.changed, told.clone(), vec![]).await.unwrap();
    let again = store.untold_devices(9).await.unwrap().remove(0);
    assert_eq!(again.told, told);
    store.tell_devices(&user("alice"), again.changed, told.clone(), vec![]).await.unwrap();
    assert!(store.untold_devices(9).await.unwrap().is_empty());
    assert_eq!(store.told_devices(&user("alice")).await.unwrap(), told);
    assert_eq!(store.told_devices(&user("bob")).await.unwrap(), ToldDevices::default());
}

pub(crate) async fn good_while_a_room_is_shared(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "r").await;
    put(&store, &room_id, vec![member("carol", 2, &carol(), Membership::Join)]).await;
    let now = store.max_stream().await.unwrap();
    assert!(store.put_remote_devices(list(1), now).await.unwrap());
    assert_eq!(good(&store, "alice").await, [list(1)]);
    assert!(good(&store, "bob").await.is_empty(), "he shares no room with her");
    // Bob comes later: what happened before, nobody told him; alice has it all the same.
    put(&store, &room_id, vec![member("bob", 3, &user("bob"), Membership::Join)]).await;
    assert!(good(&store, "bob").await.is_empty() && !good(&store, "alice").await.is_empty());
    put(&store, &room_id, vec![member("carol2", 4, &carol(), Membership::Leave)]).await;
    assert!(good(&store, "alice").await.is_empty());
    put(&store, &room_id, vec![member("carol3", 5, &carol(), Membership::Join)]).await;
    assert!(good(&store, "alice").await.is_empty(), "her devices may have changed in between");
    let now = store.max_stream().await.unwrap();
    assert!(store.put_remote_devices(list(2), now).await.unwrap());
    assert_eq!((good(&store, "alice").await, good(&store, "bob").await), (vec![list(2)], vec![list(2)]));
}

pub(crate) async fn updates_are_news(store: Arc<dyn Store>) {
    assert!(!store.remote_devices_changed(&carol(), None).await.unwrap(), "nobody knows her");
    let room_id = make_room(&store, "r").await;
    put(&store, &room_id, vec![member("carol", 2, &carol(), Membership::Join)]).await;
    let start = store.max_stream().await.unwrap();
    assert!(store.put_remote_devices(list(1), start).await.unwrap());
    assert!(store.remote_devices_changed(&carol(), Some(list(2))).await.unwrap());
    assert_eq!(store.key_changes(&user("alice"), start, i64::MAX).await.unwrap(), [carol()]);
    assert!(store.key_changes(&user("bob"), start, i64::MAX).await.unwrap().is_empty());
    assert_eq!(good(&store, "alice").await, [list(2)]);
    assert_eq!(store.known_remote_devices(&carol()).await.unwrap(), Some(list(2)));
    assert!(!store.put_remote_devices(list(1), start).await.unwrap(), "it is older than the update");
    assert!(store.remote_devices_changed(&carol(), None).await.unwrap());
    assert!(good(&store, "alice").await.is_empty());
    assert_eq!(store.known_remote_devices(&carol()).await.unwrap(), None);
    // Only this server's users are told of elsewhere.
    assert!(store.untold_devices(9).await.unwrap().is_empty());
}

pub(crate) async fn told_without_being_asked(store: Arc<dyn Store>) {
    let told = RemoteDevices { stream_id: None, ..list(1) };
    assert!(!store.remote_devices_changed(&carol(), Some(told.clone())).await.unwrap());
    assert_eq!(store.known_remote_devices(&carol()).await.unwrap(), None, "she is in no room");
    let room_id = make_room(&store, "r").await;
    put(&store, &room_id, vec![member("carol", 2, &carol(), Membership::Join)]).await;
    assert!(store.remote_devices_changed(&carol(), Some(told.clone())).await.unwrap());
    assert_eq!(store.known_remote_devices(&carol()).await.unwrap(), Some(told));
    assert!(good(&store, "alice").await.is_empty(), "there may be more than was told");
    let now = store.max_stream().await.unwrap();
    assert!(store.put_remote_devices(list(2), now).await.unwrap());
    assert_eq!(good(&store, "alice").await, [list(2)]);
}
