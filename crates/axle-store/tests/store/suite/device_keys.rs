use std::sync::Arc;

use axle_protocol::auth::Membership;
use axle_store::{CrossSigningKey, KeySignature, KeyUpload, KeyUsage, Store, UserKeys};

use super::fixtures::*;
use super::one_time_keys::{claim, key, upload};

async fn seen(store: &Arc<dyn Store>, who: &str, viewer: &str) -> UserKeys {
    store.user_keys(vec![user(who)], &user(viewer)).await.unwrap().pop().unwrap()
}

pub(crate) async fn changes_for_who_shares_a_room(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    put(&store, &room_id, vec![member("bob", 2, &user("bob"), Membership::Join)]).await;
    let start = store.max_stream().await.unwrap();
    let keys = KeyUpload { device_keys: Some("{}".into()), ..upload("bob", "ONE") };
    assert!(store.upload_keys(keys.clone()).await.unwrap());
    let first = store.max_stream().await.unwrap();
    assert!(first > start);
    assert!(!store.upload_keys(keys).await.unwrap(), "the same again");
    assert_eq!(store.max_stream().await.unwrap(), first);
    for (who, after, until, expected) in [
        ("alice", start, first, vec![user("bob")]),
        ("bob", start, first, vec![user("bob")]),
        ("carol", start, first, vec![]),
        ("alice", first, i64::MAX, vec![]),
        ("alice", 0, start, vec![]),
    ] {
        assert_eq!(store.key_changes(&user(who), after, until).await.unwrap(), expected, "{who}");
    }
    for (usage, expected) in [(KeyUsage::UserSigning, vec![]), (KeyUsage::SelfSigning, vec![user("bob")])] {
        let before = store.max_stream().await.unwrap();
        let key = CrossSigningKey { usage, public_key: "K".into(), json: "{}".into() };
        store.put_cross_signing_keys(&user("bob"), vec![key]).await.unwrap();
        let own = store.key_changes(&user("bob"), before, i64::MAX).await.unwrap();
        assert_eq!(own, [user("bob")], "{usage:?}");
        assert_eq!(store.key_changes(&user("alice"), before, i64::MAX).await.unwrap(), expected, "{usage:?}");
    }
    let others = vec![user("bob"), user("carol")];
    assert_eq!(store.sharing_rooms(&user("alice"), others.clone()).await.unwrap(), [user("bob")]);
    put(&store, &room_id, vec![member("bob2", 3, &user("bob"), Membership::Leave)]).await;
    assert!(store.sharing_rooms(&user("alice"), others).await.unwrap().is_empty());
    assert!(store.key_changes(&user("alice"), start, i64::MAX).await.unwrap().is_empty());
}

pub(crate) async fn signatures_are_for_those_concerned(store: Arc<dyn Store>) {
    let master = |name: &str| CrossSigningKey {
        usage: KeyUsage::Master,
        public_key: name.into(),
        json: format!("{{\"k\":\"{name}\"}}"),
    };
    store.put_cross_signing_keys(&user("a"), vec![master("M1")]).await.unwrap();
    let sign = |signer: &str| KeySignature {
        target_user: user("a"),
        signer: user(signer),
        target: "M1".into(),
        key_id: "ed25519:x".into(),
        signature: "s".into(),
    };
    let before = store.max_stream().await.unwrap();
    store.put_key_signatures(vec![sign("b")]).await.unwrap();
    let until = store.max_stream().await.unwrap();
    assert_eq!(store.key_changes(&user("b"), before, until).await.unwrap(), [user("a")]);
    assert!(store.key_changes(&user("a"), before, until).await.unwrap().is_empty(), "known to the signer only");
    store.put_key_signatures(vec![sign("a")]).await.unwrap();
    assert_eq!(store.key_changes(&user("a"), until, i64::MAX).await.unwrap(), [user("a")]);
    assert_eq!(seen(&store, "a", "b").await.signatures, [sign("a"), sign("b")]);
    assert_eq!(seen(&store, "a", "c").await.signatures, [sign("a")]);
    let self_signing = CrossSigningKey { usage: KeyUsage::SelfSigning, ..master("S") };
    for user_id in [user("a"), user("b")] {
        store.put_cross_signing_keys(&user_id, vec![self_signing.clone()]).await.unwrap();
    }
    store.put_cross_signing_keys(&user("a"), vec![master("M1")]).await.unwrap();
    assert_eq!(seen(&store, "a", "b").await.cross_signing, [master("M1"), self_signing.clone()]);
    store.put_cross_signing_keys(&user("a"), vec![master("M2")]).await.unwrap();
    assert_eq!(seen(&store, "b", "b").await.cross_signing, [self_signing]);
    let keys = seen(&store, "a", "b").await;
    assert_eq!((keys.cross_signing, keys.signatures), (vec![master("M2")], vec![]));
}

pub(crate) async fn a_device_takes_its_keys_with_it(store: Arc<dyn Store>) {
    for (device_id, token) in [("ONE", 1), ("TWO", 2)] {
        store.put_device(device("a", device_id, token)).await.unwrap();
        let keys = KeyUpload {
            device_keys: Some("{}".into()),
            one_time_keys: vec![key("k", "1")],
            fallback_keys: vec![key("f", "2")],
            ..upload("a", device_id)
        };
        store.upload_keys(keys).await.unwrap();
    }
    let devices = seen(&store, "a", "a").await.devices;
    assert_eq!(devices.iter().map(|device| device.device_id.as_str()).collect::<Vec<_>>(), ["ONE", "TWO"]);
    assert_eq!(devices[0].display_name.as_deref(), Some("a's"));
    let before = store.max_stream().await.unwrap();
    store.remove_devices(&user("a"), Some("ONE")).await.unwrap();
    assert_eq!(store.key_changes(&user("a"), before, i64::MAX).await.unwrap(), [user("a")]);
    assert_eq!(claim(&store, "ONE", "curve").await, None);
    assert_eq!(seen(&store, "a", "a").await.devices.len(), 1);
    assert_eq!(claim(&store, "TWO", "curve").await.as_deref(), Some("k"));
    store.remove_devices(&user("a"), None).await.unwrap();
    assert!(seen(&store, "a", "a").await.devices.is_empty());
}
