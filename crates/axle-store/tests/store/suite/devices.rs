use std::sync::Arc;

use axle_store::{Device, KeyUpload, LastSeen, Standing, Store, StoreError, Tokens};

use super::fixtures::*;

pub(crate) async fn logged_in_and_out(store: Arc<dyn Store>) {
    for device in [device("a", "TWO", 2), device("a", "ONE", 1), device("b", "ONE", 3)] {
        assert!(store.put_device(device).await.unwrap());
    }
    assert_eq!(store.device_by_token(&[2; 32]).await.unwrap(), Some((device("a", "TWO", 2), Standing::default())));
    assert_eq!(store.devices(&user("a")).await.unwrap(), [device("a", "ONE", 1), device("a", "TWO", 2)]);
    store.put_device(Device { display_name: None, ..device("a", "ONE", 4) }).await.unwrap();
    assert_eq!(store.device_by_token(&[1; 32]).await.unwrap(), None, "replaced");
    assert_eq!(store.device_by_token(&[4; 32]).await.unwrap(), Some((device("a", "ONE", 4), Standing::default())));
    let taken = store.put_device(device("c", "ONE", 4)).await;
    assert!(matches!(taken, Err(StoreError::Exists(_))), "{taken:?}");
    store.remove_devices(&user("a"), Some("ONE")).await.unwrap();
    assert_eq!(store.devices(&user("a")).await.unwrap().len(), 1);
    store.put_device(device("a", "ONE", 5)).await.unwrap();
    store.put_device(device("a", "THREE", 6)).await.unwrap();
    store.remove_these_devices(&user("a"), vec!["ONE".into(), "NOSUCH".into(), "TWO".into()]).await.unwrap();
    assert_eq!(store.devices(&user("a")).await.unwrap(), [device("a", "THREE", 6)]);
    store.remove_devices(&user("a"), None).await.unwrap();
    assert!(store.devices(&user("a")).await.unwrap().is_empty());
    assert_eq!(store.devices(&user("b")).await.unwrap().len(), 1);
}

pub(crate) async fn named_and_seen(store: Arc<dyn Store>) {
    store.put_device(device("a", "ONE", 1)).await.unwrap();
    let before = store.max_stream().await.unwrap();
    assert!(store.name_device(&user("a"), "ONE", Some("phone")).await.unwrap());
    assert_eq!(store.max_stream().await.unwrap(), before, "nobody sees it without keys");
    let keys = KeyUpload {
        user_id: user("a"),
        device_id: "ONE".into(),
        device_keys: Some("{}".into()),
        one_time_keys: Vec::new(),
        fallback_keys: Vec::new(),
        forget: None,
    };
    store.upload_keys(keys).await.unwrap();
    let before = store.max_stream().await.unwrap();
    assert!(store.name_device(&user("a"), "ONE", None).await.unwrap());
    assert_eq!(store.key_changes(&user("a"), before, i64::MAX).await.unwrap(), [user("a")]);
    assert!(!store.name_device(&user("b"), "ONE", None).await.unwrap());
    let seen = LastSeen { ts: 7, ip: Some("192.0.2.1".into()) };
    store.device_seen(&user("a"), "ONE", seen.clone()).await.unwrap();
    store.device_seen(&user("a"), "NOSUCH", seen.clone()).await.unwrap();
    let known = Device { display_name: None, last_seen: Some(seen), ..device("a", "ONE", 1) };
    assert_eq!(store.devices(&user("a")).await.unwrap(), [known]);
}

pub(crate) async fn tokens_follow_each_other(store: Arc<dyn Store>) {
    let tokens = |access: u8| Tokens {
        access_hash: [access; 32],
        expires_ts: Some(access.into()),
        refresh_hash: Some([access + 100; 32]),
    };
    let known = async |access: u8| store.device_by_token(&[access; 32]).await.unwrap().map(|(device, _)| device.tokens);
    store.put_device(Device { tokens: tokens(1), ..device("a", "ONE", 1) }).await.unwrap();
    assert!(!store.refresh_tokens(&[99; 32], tokens(2)).await.unwrap());
    // The answer was lost: the client asks again with what it has.
    assert!(store.refresh_tokens(&[101; 32], tokens(2)).await.unwrap());
    assert!(store.refresh_tokens(&[101; 32], tokens(3)).await.unwrap());
    assert_eq!(known(2).await, None, "never arrived");
    assert_eq!(known(1).await, Some(tokens(1)), "good until the next one is used");
    assert_eq!(known(3).await, Some(tokens(3)));
    assert_eq!(known(1).await, None);
    assert!(!store.refresh_tokens(&[101; 32], tokens(4)).await.unwrap());
    // A refresh token that is used ends the tokens before it as well.
    assert!(store.refresh_tokens(&[103; 32], tokens(5)).await.unwrap());
    assert!(store.refresh_tokens(&[105; 32], tokens(6)).await.unwrap());
    assert_eq!((known(3).await, known(5).await), (None, Some(tokens(5))));
    assert!(!store.refresh_tokens(&[103; 32], tokens(7)).await.unwrap());
    // Logging in anew ends all of them.
    store.put_device(device("a", "ONE", 8)).await.unwrap();
    assert_eq!((known(5).await, known(6).await), (None, None));
    assert!(!store.refresh_tokens(&[106; 32], tokens(9)).await.unwrap());
    assert_eq!(known(8).await, Some(Tokens::lasting([8; 32])));
}
