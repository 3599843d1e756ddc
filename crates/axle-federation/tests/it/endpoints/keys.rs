//! Our keys, and other servers' keys through us as their notary.

use axle_protocol::signing::server_keys::ServerKeys;
use axle_protocol::signing::server_keys::notary::KeyQueryResponse;
use serde_json::{Value, json};

use super::world::{HUB, PEER, World};
use crate::support::{Ask, key, name};

#[tokio::test]
async fn our_own_keys() {
    let world = World::new().await;
    let answer = world.send(Ask::get("/_matrix/key/v2/server")).await;
    answer.ok();
    let keys = ServerKeys::parse(answer.text.as_bytes(), &name(HUB), world.hands.now()).unwrap();
    assert!(keys.valid_until_ts > world.hands.now());
    assert_eq!(keys.verify_keys.into_values().collect::<Vec<_>>(), [key(1).verify_key()]);
}

/// The answer of a notary: one response of the peer, signed by it and by us.
#[track_caller]
fn is_the_peers(world: &World, answer: &Value) {
    let bytes = answer.to_string();
    let mut entries = KeyQueryResponse::parse(bytes.as_bytes()).unwrap().server_keys;
    let entry = entries.pop().unwrap();
    assert!(entries.is_empty());
    assert!(entry["signatures"][HUB].is_object() && entry["signatures"][PEER].is_object(), "{answer}");
    let keys = ServerKeys::from_object(&entry, &name(PEER), world.hands.now()).unwrap();
    assert_eq!(keys.verify_keys.into_values().collect::<Vec<_>>(), [key(2).verify_key()]);
}

#[tokio::test]
async fn a_query_about_one_server() {
    let world = World::new().await;
    is_the_peers(&world, &world.send(Ask::get("/_matrix/key/v2/query/a.test")).await.ok());
    let soon = world.hands.now() + 60_000;
    let path = format!("/_matrix/key/v2/query/a.test?minimum_valid_until_ts={soon}");
    is_the_peers(&world, &world.send(Ask::get(&path)).await.ok());
    assert_eq!(world.peer_keys.asked(), 1, "what is known is not asked again");
    let nobody = world.send(Ask::get("/_matrix/key/v2/query/nobody.test")).await.ok();
    assert_eq!(nobody, json!({"server_keys": []}));
    for wrong in ["a%20b", "@a.test", "a.test:99999", "%ff", &"x".repeat(300)] {
        world.send(Ask::get(&format!("/_matrix/key/v2/query/{wrong}"))).await.fails(400, "M_INVALID_PARAM");
    }
    for wrong in ["x", "1.5", "", "99999999999999999999999"] {
        let path = format!("/_matrix/key/v2/query/a.test?minimum_valid_until_ts={wrong}");
        world.send(Ask::get(&path)).await.fails(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn a_query_about_several_servers() {
    let world = World::new().await;
    let path = "/_matrix/key/v2/query";
    let post = |body: &str| Ask::with("POST", path, body);
    for criteria in [json!({}), json!({"ed25519:1": {}}), json!({"ed25519:1": {"minimum_valid_until_ts": 1}})] {
        let body = json!({"server_keys": {PEER: criteria, "nobody.test": {}}});
        is_the_peers(&world, &world.send(post(&body.to_string())).await.ok());
    }
    assert_eq!(world.send(post(r#"{"server_keys":{}}"#)).await.ok(), json!({"server_keys": []}));
    for not_json in ["", "{", "\u{0}", r#"{"server_keys":{}}x"#] {
        world.send(post(not_json)).await.fails(400, "M_NOT_JSON");
    }
    let bad = [
        "{}",
        "[]",
        "[{}]",
        "null",
        r#"{"server_keys":[]}"#,
        r#"{"server_keys":{"a.test":[]}}"#,
        r#"{"server_keys":{"a.test":{"ed25519:1":1}}}"#,
        r#"{"server_keys":{"a.test":{"ed25519:1":{"minimum_valid_until_ts":"1"}}}}"#,
    ];
    for body in bad {
        let answer = world.send(post(body)).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(answer.text.contains("M_BAD_JSON"), "{body}: {}", answer.text);
    }
    let many: serde_json::Map<String, Value> = (0..101).map(|i| (format!("s{i}.test"), json!({}))).collect();
    world.send(post(&json!({"server_keys": many}).to_string())).await.fails(400, "M_BAD_JSON");
}
