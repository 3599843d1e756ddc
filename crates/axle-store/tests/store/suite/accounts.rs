use std::sync::Arc;

use axle_store::{Append, ClientTxn, ClientTxnKey, Device, Profile, RegistrationToken, Store, StoreError, User};

use super::fixtures::*;

fn account(name: &str) -> User {
    User {
        user_id: user(name),
        password_hash: Some("$argon2id$x".into()),
        admin: name == "admin",
        deactivated: false,
        created_ts: 5,
    }
}

pub(crate) async fn users(store: Arc<dyn Store>) {
    assert!(store.create_user(account("bob"), None).await.unwrap());
    assert!(store.create_user(account("admin"), None).await.unwrap());
    let again = store.create_user(account("bob"), None).await;
    assert!(matches!(again, Err(StoreError::Exists(_))), "{again:?}");
    assert_eq!(store.user(&user("admin")).await.unwrap(), Some(account("admin")));
    assert_eq!(store.user(&user("nobody")).await.unwrap(), None);
    assert_eq!(store.users().await.unwrap(), [account("admin"), account("bob")]);
    assert!(store.set_password(&user("bob"), "$argon2id$y").await.unwrap());
    assert!(!store.set_password(&user("nobody"), "$argon2id$y").await.unwrap());
    assert_eq!(store.user(&user("bob")).await.unwrap().unwrap().password_hash.as_deref(), Some("$argon2id$y"));
}

pub(crate) async fn tokens(store: Arc<dyn Store>) {
    let token = |name: &str, uses_left| RegistrationToken { token: name.into(), uses_left };
    store.put_registration_token(token("once", Some(1))).await.unwrap();
    store.put_registration_token(token("open", None)).await.unwrap();
    assert!(!store.create_user(account("a"), Some("wrong")).await.unwrap());
    assert_eq!(store.user(&user("a")).await.unwrap(), None);
    assert!(store.create_user(account("a"), Some("once")).await.unwrap());
    assert!(!store.create_user(account("b"), Some("once")).await.unwrap());
    assert!(store.create_user(account("b"), Some("open")).await.unwrap());
    assert!(store.create_user(account("c"), Some("open")).await.unwrap());
    assert_eq!(store.registration_tokens().await.unwrap(), [token("once", Some(0)), token("open", None)]);
    store.put_registration_token(token("once", Some(2))).await.unwrap();
    // A name that is taken uses nothing up.
    store.create_user(account("a"), Some("once")).await.unwrap_err();
    assert_eq!(store.registration_tokens().await.unwrap()[0], token("once", Some(2)));
}

fn device(name: &str, id: &str, token: u8) -> Device {
    let display_name = Some(format!("{name}'s"));
    Device { user_id: user(name), device_id: id.into(), token_hash: [token; 32], display_name, created_ts: 9 }
}

pub(crate) async fn devices(store: Arc<dyn Store>) {
    for device in [device("a", "TWO", 2), device("a", "ONE", 1), device("b", "ONE", 3)] {
        store.put_device(device).await.unwrap();
    }
    assert_eq!(store.device_by_token(&[2; 32]).await.unwrap(), Some(device("a", "TWO", 2)));
    assert_eq!(store.devices(&user("a")).await.unwrap(), [device("a", "ONE", 1), device("a", "TWO", 2)]);
    store.put_device(Device { display_name: None, ..device("a", "ONE", 4) }).await.unwrap();
    assert_eq!(store.device_by_token(&[1; 32]).await.unwrap(), None, "replaced");
    assert_eq!(store.device_by_token(&[4; 32]).await.unwrap(), Some(device("a", "ONE", 4)));
    let taken = store.put_device(device("c", "ONE", 4)).await;
    assert!(matches!(taken, Err(StoreError::Exists(_))), "{taken:?}");
    store.remove_devices(&user("a"), Some("ONE")).await.unwrap();
    assert_eq!(store.devices(&user("a")).await.unwrap().len(), 1);
    store.put_device(device("a", "ONE", 5)).await.unwrap();
    store.remove_devices(&user("a"), None).await.unwrap();
    assert!(store.devices(&user("a")).await.unwrap().is_empty());
    assert_eq!(store.devices(&user("b")).await.unwrap().len(), 1);
}

pub(crate) async fn profiles(store: Arc<dyn Store>) {
    assert_eq!(store.profile(&user("a")).await.unwrap(), Profile::default());
    let profile = Profile { displayname: Some("A".into()), avatar_url: None };
    store.put_profile(&user("a"), profile.clone()).await.unwrap();
    assert_eq!(store.profile(&user("a")).await.unwrap(), profile);
    let profile = Profile { displayname: None, avatar_url: Some("mxc://x/y".into()) };
    store.put_profile(&user("a"), profile.clone()).await.unwrap();
    assert_eq!(store.profile(&user("a")).await.unwrap(), profile);
}

pub(crate) async fn filters(store: Arc<dyn Store>) {
    let one = store.put_filter(&user("a"), "{}").await.unwrap();
    let two = store.put_filter(&user("a"), r#"{"room":{}}"#).await.unwrap();
    assert_ne!(one, two);
    assert_eq!(store.put_filter(&user("a"), "{}").await.unwrap(), one);
    assert_eq!(store.filter(&user("a"), &two).await.unwrap().as_deref(), Some(r#"{"room":{}}"#));
    assert_eq!(store.filter(&user("b"), &two).await.unwrap(), None, "of another user");
    for strange in ["", "x", "999999", "-1", "99999999999999999999"] {
        assert_eq!(store.filter(&user("a"), strange).await.unwrap(), None);
    }
}

pub(crate) async fn txn_ids_of_a_device(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let txn = |device_id: &str, txn_id: &str, name: &str| ClientTxn {
        key: ClientTxnKey {
            user_id: user("alice"),
            device_id: device_id.into(),
            scope: "s".into(),
            txn_id: txn_id.into(),
        },
        event_id: id(name),
    };
    let client_txns = vec![txn("PHONE", "t1", "a"), txn("LAPTOP", "t2", "b")];
    let events = vec![message("a", 2), message("b", 3), message("c", 4)];
    store.append(Append { client_txns, ..append(&room_id, Some(1), events) }).await.unwrap();
    let ids = [id("c"), id("b"), id("a")];
    let found = store.device_txn_ids(&user("alice"), "PHONE", &ids).await.unwrap();
    assert_eq!(found, [(id("a"), "t1".into())]);
    assert!(store.device_txn_ids(&user("bob"), "PHONE", &ids).await.unwrap().is_empty());
    store.remove_devices(&user("alice"), Some("PHONE")).await.unwrap();
    assert!(store.device_txn_ids(&user("alice"), "PHONE", &ids).await.unwrap().is_empty());
    assert_eq!(store.client_txn(&txn("PHONE", "t1", "a").key).await.unwrap(), None);
}
