//! A store that fails, and people who are too quick.

use std::sync::Arc;

use axle_client_api::{Rate, RateLimits};
use axle_store::memory::MemoryStore;
use reqwest::Method;
use serde_json::json;

use crate::common::{config, server_on, server_with};

#[tokio::test]
async fn what_was_not_stored_is_not_acknowledged() {
    let store = MemoryStore::new();
    let server = server_on(Arc::new(store.clone()), config()).await;
    let alice = server.person("alice").await;
    let login = json!({"type": "m.login.password", "user": "alice", "password": "correct horse"});
    let register = json!({"username": "bob", "password": "correct horse", "auth": {"type": "m.login.dummy"}});
    let name = "/_matrix/client/v3/profile/@alice:example.org/displayname";
    for (method, path, body) in [
        (Method::POST, "/_matrix/client/v3/login", &login),
        (Method::POST, "/_matrix/client/v3/register", &register),
        (Method::PUT, name, &json!({"displayname": "Alice"})),
        (Method::POST, "/_matrix/client/v3/user/@alice:example.org/filter", &json!({})),
        (Method::POST, "/_matrix/client/v3/logout", &json!({})),
    ] {
        store.fail_writes(1);
        let answer = alice.request(method, path, Some(body)).await;
        answer.fails(500, "M_UNKNOWN");
    }
    // Nothing of it happened.
    alice.get("/_matrix/client/v3/account/whoami").await.ok();
    assert_eq!(alice.get(name).await.ok(), json!({"displayname": "alice"}));
    assert_eq!(alice.get("/_matrix/client/v3/devices").await.ok()["devices"].as_array().map(Vec::len), Some(1));
    alice.request(Method::POST, "/_matrix/client/v3/register", Some(&register)).await.ok();
}

#[tokio::test]
async fn changes_are_limited_by_user() {
    let mut config = config();
    config.limits = RateLimits {
        changes: Some(Rate { per_second: 0.001, burst: 2 }),
        rooms: Some(Rate { per_second: 0.001, burst: 1 }),
        ..RateLimits::off()
    };
    let server = server_with(config).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let again = alice.post("/_matrix/client/v3/createRoom", json!({})).await;
    again.fails(429, "M_LIMIT_EXCEEDED");
    alice.say(&room, "one").await;
    alice.say(&room, "two").await;
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/three");
    let refused = alice.put(&path, json!({})).await;
    refused.fails(429, "M_LIMIT_EXCEEDED");
    assert!(refused.body["retry_after_ms"].as_u64().unwrap() > 0);
    bob.join(&room).await.ok();
    assert_eq!(alice.texts(&room, "dir=b").await, ["two", "one"]);
}
