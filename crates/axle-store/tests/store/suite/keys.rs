use std::sync::Arc;

use axle_protocol::KeyId;
use axle_store::{Store, StoredKey};

use super::fixtures::server;

fn key(id: &str, key: &str, valid_until_ts: i64, expired_ts: Option<i64>) -> StoredKey {
    let key_id = KeyId::parse(format!("ed25519:{id}")).unwrap();
    StoredKey { server: server("b.example"), key_id, key: key.into(), valid_until_ts, expired_ts }
}

pub(crate) async fn kept_for_ever(store: Arc<dyn Store>) {
    let b = server("b.example");
    assert!(store.server_keys(&b).await.unwrap().is_empty());
    store.put_server_keys(&b, "one", 100, &[key("1", "AAA", 100, None)]).await.unwrap();
    store.put_server_keys(&b, "two", 90, &[key("1", "AAA", 90, None)]).await.unwrap();
    assert_eq!(store.server_keys(&b).await.unwrap(), [key("1", "AAA", 100, None)], "the latest validity");
    store
        .put_server_keys(&b, "three", 200, &[key("1", "AAA", 100, Some(95)), key("2", "BBB", 200, None)])
        .await
        .unwrap();
    assert_eq!(store.server_keys(&b).await.unwrap(), [key("1", "AAA", 100, Some(95)), key("2", "BBB", 200, None)]);
    store.put_server_keys(&b, "four", 300, &[key("2", "CCC", 300, None)]).await.unwrap();
    let keys = store.server_keys(&b).await.unwrap();
    assert_eq!(keys, [key("1", "AAA", 100, Some(95)), key("2", "BBB", 200, None)], "an id keeps its first key");
    assert!(store.server_keys(&server("c.example")).await.unwrap().is_empty());
}

pub(crate) async fn responses_by_key_set(store: Arc<dyn Store>) {
    let b = server("b.example");
    store.put_server_keys(&b, "one", 100, &[key("1", "AAA", 100, None)]).await.unwrap();
    store.put_server_keys(&b, "one again", 150, &[key("1", "AAA", 150, None)]).await.unwrap();
    store.put_server_keys(&b, "one, late", 120, &[key("1", "AAA", 120, None)]).await.unwrap();
    assert_eq!(store.key_responses(&b).await.unwrap(), [(150, "one again".into())]);
    store.put_server_keys(&b, "two", 200, &[key("2", "BBB", 200, None)]).await.unwrap();
    assert_eq!(store.key_responses(&b).await.unwrap(), [(200, "two".into()), (150, "one again".into())]);
    for number in 0..200 {
        let keys = [key(&format!("x{number}"), "AAA", 300, None)];
        store.put_server_keys(&b, "many", 300, &keys).await.unwrap();
    }
    assert!(store.key_responses(&b).await.unwrap().len() < 100, "a server cannot fill the disk with responses");
    assert_eq!(store.server_keys(&b).await.unwrap().len(), 202);
}
