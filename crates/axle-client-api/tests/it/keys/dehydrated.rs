//! Dehydrated devices.

use reqwest::Method;
use serde_json::{Value, json};

use super::{KEYS, query};
use crate::common::{Person, next, server};

const PATH: &str = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";

/// What a client puts: a device of this id with all its keys.
fn dehydrated(person: &Person, device_id: &str) -> Value {
    let id = format!("ed25519:{device_id}");
    json!({
        "device_id": device_id, "initial_device_display_name": "Dehydrated",
        "device_data": {"algorithm": "org.matrix.msc3814.v2", "device_pickle": "b64", "nonce": "n"},
        "device_keys": {
            "user_id": person.user_id, "device_id": device_id, "dehydrated": true,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2"], "keys": {&id: "key"},
            "signatures": {person.user_id.as_str(): {&id: "c2lnbmF0dXJl"}},
        },
        "one_time_keys": {"signed_curve25519:A": {"key": "1"}},
        "fallback_keys": {"signed_curve25519:F": {"key": "2", "fallback": true}},
    })
}

async fn put(person: &Person, device_id: &str) -> Value {
    person.put(PATH, dehydrated(person, device_id)).await.ok()
}

async fn send(from: &Person, to: &Person, device: &str, text: &str) {
    let path = format!("/_matrix/client/v3/sendToDevice/m.test/{text}");
    from.put(&path, json!({"messages": {to.user_id.as_str(): {device: {"body": text}}}})).await.ok();
}

fn texts(answer: &Value) -> Vec<&str> {
    let events = answer["events"].as_array().unwrap().iter();
    events.map(|event| event["content"]["body"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn it_is_a_device_that_others_can_write_to() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.get(PATH).await.fails(404, "M_NOT_FOUND");
    alice.request(Method::DELETE, PATH, None).await.fails(404, "M_NOT_FOUND");
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let before = bob.sync("").await;
    let answer = put(&alice, "DEHYDRATED").await;
    assert_eq!(answer, json!({"device_id": "DEHYDRATED"}));
    assert_eq!(bob.sync(&next(&before)).await["device_lists"]["changed"], json!([alice.user_id]));
    let found = query(&bob, &alice).await;
    let published = &found["device_keys"][alice.user_id.as_str()]["DEHYDRATED"];
    assert_eq!((&published["dehydrated"], &published["keys"]["ed25519:DEHYDRATED"]), (&json!(true), &json!("key")));
    let claim = json!({"one_time_keys": {alice.user_id.as_str(): {"DEHYDRATED": "signed_curve25519"}}});
    for key in ["signed_curve25519:A", "signed_curve25519:F"] {
        let claimed = bob.post(&format!("{KEYS}/claim"), claim.clone()).await.ok();
        assert!(claimed["one_time_keys"][alice.user_id.as_str()]["DEHYDRATED"][key].is_object(), "{claimed}");
    }
    let found = alice.get(PATH).await.ok();
    assert_eq!(found["device_id"], "DEHYDRATED");
    assert_eq!(found["device_data"], dehydrated(&alice, "DEHYDRATED")["device_data"]);
    bob.get(PATH).await.fails(404, "M_NOT_FOUND");
    let deleted = alice.request(Method::DELETE, PATH, None).await.ok();
    assert_eq!(deleted, json!({"device_id": "DEHYDRATED"}));
    alice.get(PATH).await.fails(404, "M_NOT_FOUND");
    assert_eq!(query(&bob, &alice).await["device_keys"][alice.user_id.as_str()], json!({}));
}

#[tokio::test]
async fn its_messages_can_be_read_again_until_it_goes() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    put(&alice, "ONE").await;
    for number in 0..150 {
        send(&bob, &alice, "ONE", &number.to_string()).await;
    }
    let path = format!("{PATH}/ONE/events");
    for _ in 0..2 {
        let first = alice.post(&path, json!({})).await.ok();
        let second = alice.post(&path, json!({"next_batch": first["next_batch"]})).await.ok();
        let third = alice.post(&path, json!({"next_batch": second["next_batch"]})).await.ok();
        let expected: Vec<String> = (0..150).map(|number| number.to_string()).collect();
        assert_eq!(texts(&first).len(), 100);
        assert_eq!([texts(&first), texts(&second)].concat(), expected);
        assert!(texts(&third).is_empty());
        // What comes later is there, too.
        assert!(third["next_batch"].is_string());
    }
    bob.post(&path, json!({})).await.fails(403, "M_FORBIDDEN");
    alice.post(&format!("{PATH}/{}/events", alice.device_id), json!({})).await.fails(403, "M_FORBIDDEN");
    put(&alice, "TWO").await;
    alice.post(&path, json!({})).await.fails(403, "M_FORBIDDEN");
    assert!(texts(&alice.post(&format!("{PATH}/TWO/events"), json!({})).await.ok()).is_empty());
    let devices = query(&bob, &alice).await["device_keys"][alice.user_id.as_str()].clone();
    assert_eq!(devices.as_object().unwrap().keys().collect::<Vec<_>>(), ["TWO"]);
}

#[tokio::test]
async fn what_is_no_device_is_refused() {
    let server = server().await;
    let alice = server.person("alice").await;
    for field in ["device_id", "device_data", "device_keys"] {
        let mut body = dehydrated(&alice, "ONE");
        body.as_object_mut().unwrap().remove(field);
        alice.put(PATH, body).await.fails(400, "M_BAD_JSON");
    }
    let mut body = dehydrated(&alice, "ONE");
    body["device_keys"]["device_id"] = json!("TWO");
    alice.put(PATH, body).await.fails(400, "M_INVALID_PARAM");
    let mut body = dehydrated(&alice, "ONE");
    body["device_data"] = json!("text");
    alice.put(PATH, body).await.fails(400, "M_BAD_JSON");
    alice.put(PATH, dehydrated(&alice, &alice.device_id)).await.fails(400, "M_INVALID_PARAM");
    alice.get(PATH).await.fails(404, "M_NOT_FOUND");
    alice.get("/_matrix/client/v3/account/whoami").await.ok();
}
