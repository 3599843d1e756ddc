use std::sync::Arc;

use axle_store::{MAX_PUSHERS_PER_USER, NewPusher, PushProgress, Pusher, PutPusher, Store};

use super::fixtures::*;

fn pusher(who: &str, device: &str, pushkey: &str) -> NewPusher {
    NewPusher {
        user_id: user(who),
        device_id: device.into(),
        app_id: "app".into(),
        pushkey: pushkey.into(),
        json: r#"{"kind":"http"}"#.into(),
        set_ts: 7,
    }
}

/// Sets a pusher; it, and the numbers of those that ended by this.
async fn set(store: &Arc<dyn Store>, pusher: NewPusher, addition: bool) -> (Pusher, Vec<i64>) {
    match store.put_pusher(pusher, addition).await.unwrap() {
        PutPusher::Set { pusher, ended } => (*pusher, ended),
        other => panic!("{other:?}"),
    }
}

async fn keys(store: &Arc<dyn Store>, who: &str) -> Vec<String> {
    store.pushers(&user(who)).await.unwrap().into_iter().map(|pusher| pusher.set.pushkey).collect()
}

pub(crate) async fn set_replaced_and_removed(store: Arc<dyn Store>) {
    store.put_device(device("alice", "A", 1)).await.unwrap();
    make_room(&store, "one").await;
    let now = store.max_stream().await.unwrap();
    let (first, ended) = set(&store, pusher("alice", "A", "k"), false).await;
    assert_eq!(first.progress, PushProgress { cursor: now, badge: None, failing_since: None });
    assert!(ended.is_empty());
    let (other, _) = set(&store, pusher("alice", "A", "l"), false).await;
    assert_eq!(store.pushers(&user("alice")).await.unwrap(), [first.clone(), other.clone()]);
    let progress = PushProgress { cursor: now + 5, badge: Some(3), failing_since: Some(9) };
    assert!(store.push_progress(first.id, progress).await.unwrap());
    assert_eq!(store.all_pushers().await.unwrap()[0].progress, progress);
    // It goes on where it was, and is not taken for one that fails.
    let anew = NewPusher { set_ts: 8, ..pusher("alice", "A", "k") };
    let (second, ended) = set(&store, anew.clone(), false).await;
    assert_eq!((ended, second.set.clone()), (vec![first.id], anew));
    assert_eq!(second.progress, PushProgress { failing_since: None, ..progress });
    assert!(second.id > other.id);
    assert!(!store.push_progress(first.id, progress).await.unwrap());
    store.remove_pusher(second.id).await.unwrap();
    store.remove_pusher(second.id).await.unwrap();
    assert_eq!(keys(&store, "alice").await, ["l"]);
    let (third, _) = set(&store, pusher("alice", "A", "k"), false).await;
    assert!(third.id > second.id);
}

pub(crate) async fn one_key_of_several_users(store: Arc<dyn Store>) {
    store.put_device(device("alice", "A", 1)).await.unwrap();
    store.put_device(device("bob", "B", 2)).await.unwrap();
    let (of_alice, _) = set(&store, pusher("alice", "A", "k"), false).await;
    set(&store, pusher("alice", "A", "other"), false).await;
    let (of_bob, ended) = set(&store, pusher("bob", "B", "k"), true).await;
    assert!(ended.is_empty());
    assert_eq!((keys(&store, "alice").await, keys(&store, "bob").await.len()), (vec!["k".into(), "other".into()], 1));
    let (_, mut ended) = set(&store, pusher("bob", "B", "k"), false).await;
    ended.sort_unstable();
    assert_eq!(ended, [of_alice.id, of_bob.id]);
    assert_eq!((keys(&store, "alice").await, keys(&store, "bob").await.len()), (vec!["other".into()], 1));
}

pub(crate) async fn a_device_takes_its_pushers_with_it(store: Arc<dyn Store>) {
    assert_eq!(store.put_pusher(pusher("alice", "A", "k"), false).await.unwrap(), PutPusher::NoDevice);
    store.put_device(device("alice", "A", 1)).await.unwrap();
    store.put_device(device("alice", "B", 2)).await.unwrap();
    set(&store, pusher("alice", "A", "a"), false).await;
    set(&store, pusher("alice", "B", "b"), false).await;
    store.remove_devices(&user("alice"), Some("A")).await.unwrap();
    assert_eq!(keys(&store, "alice").await, ["b"]);
    store.remove_devices(&user("alice"), None).await.unwrap();
    assert!(store.all_pushers().await.unwrap().is_empty());
}

pub(crate) async fn a_user_has_so_many_pushers(store: Arc<dyn Store>) {
    store.put_device(device("alice", "A", 1)).await.unwrap();
    for number in 0..MAX_PUSHERS_PER_USER {
        set(&store, pusher("alice", "A", &number.to_string()), false).await;
    }
    assert_eq!(store.put_pusher(pusher("alice", "A", "more"), false).await.unwrap(), PutPusher::Full);
    // One that is there can be set anew.
    set(&store, pusher("alice", "A", "0"), false).await;
}
