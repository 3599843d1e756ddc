//! Cross-signing keys, and authentication in stages.

use axle_protocol::{KeyId, SigningKey, UserId, canonical_json};
use serde_json::{Value, json};

use super::{KEYS, device_keys, query};
use crate::common::{Person, server};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(KeyId::parse("ed25519:x").unwrap(), &[seed; 32])
}

fn public(key: &SigningKey) -> String {
    key.verify_key().to_base64()
}

/// Signs an object as a user, with a key of this name.
fn sign(object: &mut Value, who: &UserId, name: &str, key: &SigningKey) {
    let map = object.as_object().unwrap();
    let bytes = canonical_json::object_to_string_where(map, |field| field != "signatures" && field != "unsigned");
    object["signatures"][who.as_str()][format!("ed25519:{name}")] = json!(key.sign(bytes.as_bytes()));
}

fn cross_signing_key(who: &UserId, usage: &str, key: &SigningKey, master: Option<&SigningKey>) -> Value {
    let id = format!("ed25519:{}", public(key));
    let mut object = json!({"user_id": who, "usage": [usage], "keys": {id: public(key)}});
    if let Some(master) = master {
        sign(&mut object, who, &public(master), master);
    }
    object
}

/// All three keys, from these seeds.
fn all(who: &UserId, seed: u8) -> Value {
    let master = key(seed);
    json!({
        "master_key": cross_signing_key(who, "master", &master, None),
        "self_signing_key": cross_signing_key(who, "self_signing", &key(seed + 1), Some(&master)),
        "user_signing_key": cross_signing_key(who, "user_signing", &key(seed + 2), Some(&master)),
    })
}

async fn upload(person: &Person, seed: u8) {
    person.post(&format!("{KEYS}/device_signing/upload"), all(&person.user_id, seed)).await.ok();
}

#[tokio::test]
async fn the_first_keys_are_free_and_others_cost_the_password() {
    let server = server().await;
    let alice = server.person("alice").await;
    let path = format!("{KEYS}/device_signing/upload");
    let mut unsigned = all(&alice.user_id, 1);
    unsigned["self_signing_key"] = cross_signing_key(&alice.user_id, "self_signing", &key(2), Some(&key(9)));
    alice.post(&path, unsigned).await.fails(400, "M_INVALID_SIGNATURE");
    upload(&alice, 1).await;
    upload(&alice, 1).await;
    let mut other = all(&alice.user_id, 11);
    let asked = alice.post(&path, other.clone()).await;
    assert_eq!(asked.status, 401);
    assert_eq!(asked.body["flows"], json!([{"stages": ["m.login.password"]}]));
    let password = |text: &str, session: &Value| {
        let identifier = json!({"type": "m.id.user", "user": "alice"});
        json!({"type": "m.login.password", "identifier": identifier, "password": text, "session": session})
    };
    other["auth"] = password("wrong horse", &asked.body["session"]);
    let wrong = alice.post(&path, other.clone()).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["errcode"]), (401, &json!("M_FORBIDDEN")));
    assert_eq!(wrong.body["session"], asked.body["session"]);
    other["auth"] = password("correct horse", &json!("made up"));
    assert_eq!(alice.post(&path, other.clone()).await.status, 401);
    let master = |found: &Value| found["master_keys"][alice.user_id.as_str()]["keys"].clone();
    let before = master(&query(&alice, &alice).await);
    other["auth"] = password("correct horse", &asked.body["session"]);
    alice.post(&path, other).await.ok();
    assert_ne!(master(&query(&alice, &alice).await), before);
}

#[tokio::test]
async fn signatures_are_seen_by_whom_they_concern() {
    let server = server().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let device = key(7);
    super::publish(&alice, &public(&device)).await;
    upload(&alice, 1).await;
    upload(&bob, 21).await;
    let path = format!("{KEYS}/signatures/upload");
    let mut own = device_keys(&alice, &public(&device));
    sign(&mut own, &alice.user_id, &public(&key(2)), &key(2));
    let mut bobs = cross_signing_key(&bob.user_id, "master", &key(21), None);
    sign(&mut bobs, &alice.user_id, &public(&key(3)), &key(3));
    let mut bad = cross_signing_key(&alice.user_id, "master", &key(1), None);
    sign(&mut bad, &alice.user_id, &alice.device_id, &key(8));
    let body = json!({
        alice.user_id.as_str(): {&alice.device_id: own, public(&key(1)): bad},
        bob.user_id.as_str(): {public(&key(21)): bobs},
    });
    let failures = alice.post(&path, body).await.ok()["failures"].clone();
    assert_eq!(failures.as_object().unwrap().len(), 1);
    assert_eq!(failures[alice.user_id.as_str()][public(&key(1))]["errcode"], "M_INVALID_SIGNATURE");
    let by_self = format!("ed25519:{}", public(&key(2)));
    for viewer in [&alice, &bob, &carol] {
        let found = query(viewer, &alice).await;
        let device = &found["device_keys"][alice.user_id.as_str()][&alice.device_id];
        assert!(device["signatures"][alice.user_id.as_str()][&by_self].is_string());
        assert_eq!(found["user_signing_keys"].get(alice.user_id.as_str()).is_some(), viewer.user_id == alice.user_id);
        let master = &query(viewer, &bob).await["master_keys"][bob.user_id.as_str()];
        let of_alice = master["signatures"].get(alice.user_id.as_str());
        assert_eq!(of_alice.is_some(), viewer.user_id == alice.user_id, "{}", viewer.user_id);
    }
}
