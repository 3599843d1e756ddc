//! Cross-signing keys, and authentication in stages.

use axle_protocol::{KeyId, SigningKey, UserId, canonical_json};
use reqwest::Method;
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

/// Authentication by the password.
fn password() -> Value {
    let identifier = json!({"type": "m.id.user", "user": "alice"});
    json!({"type": "m.login.password", "identifier": identifier, "password": "correct horse"})
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
    // The path from before Matrix 1.1, which older clients use.
    let path = "/_matrix/client/unstable/keys/signatures/upload";
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
    let failures = alice.post(path, body).await.ok()["failures"].clone();
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

#[tokio::test]
async fn another_master_key_takes_the_others_with_it() {
    let server = server().await;
    let alice = server.person("alice").await;
    upload(&alice, 1).await;
    let path = format!("{KEYS}/device_signing/upload");
    let who = &alice.user_id;
    let other = key(11);
    let master = json!({"master_key": cross_signing_key(who, "master", &other, None), "auth": password()});
    alice.post(&path, master).await.ok();
    let found = query(&alice, &alice).await;
    assert!(found["master_keys"][who.as_str()]["keys"][format!("ed25519:{}", public(&other))].is_string());
    for keys in ["self_signing_keys", "user_signing_keys"] {
        assert!(found[keys].get(who.as_str()).is_none(), "the old master key has signed it: {found}");
    }
    // The same key again, signed by the new master key, is not the same.
    let signed = cross_signing_key(who, "self_signing", &key(2), Some(&other));
    alice.post(&path, json!({"self_signing_key": &signed, "auth": password()})).await.ok();
    assert_eq!(query(&alice, &alice).await["self_signing_keys"][who.as_str()], signed);
}

#[tokio::test]
async fn a_key_is_shown_as_it_was_uploaded() {
    let server = server().await;
    let alice = server.person("alice").await;
    let master = cross_signing_key(&alice.user_id, "master", &key(1), None);
    assert!(master.get("signatures").is_none());
    alice.post(&format!("{KEYS}/device_signing/upload"), json!({"master_key": master})).await.ok();
    assert_eq!(query(&alice, &alice).await["master_keys"][alice.user_id.as_str()], master);
}

#[tokio::test]
async fn self_signing_and_user_signing_keys_need_a_master_key() {
    let server = server().await;
    let alice = server.person("alice").await;
    let path = format!("{KEYS}/device_signing/upload");
    for usage in ["self_signing", "user_signing"] {
        let signed = cross_signing_key(&alice.user_id, usage, &key(2), Some(&key(1)));
        let body = json!({format!("{usage}_key"): signed});
        alice.post(&path, body).await.fails(400, "M_MISSING_PARAM");
        let mut all = all(&alice.user_id, 1);
        all[format!("{usage}_key")]["signatures"] = json!({});
        alice.post(&path, all).await.fails(400, "M_INVALID_SIGNATURE");
    }
    assert_eq!(query(&alice, &alice).await["master_keys"], json!({}));
}

#[tokio::test]
async fn a_key_cannot_have_the_name_of_a_device() {
    let server = server().await;
    let alice = server.person("alice").await;
    let mut body = password();
    body["device_id"] = json!(public(&key(2)));
    let login = server.anonymous(Method::POST, "/_matrix/client/v3/login", Some(&body)).await.ok();
    let device = server.person_from(&login);
    let path = format!("{KEYS}/device_signing/upload");
    alice.post(&path, all(&alice.user_id, 1)).await.fails(403, "M_FORBIDDEN");
    assert_eq!(query(&alice, &alice).await["master_keys"], json!({}));
    device.post("/_matrix/client/v3/logout", json!({})).await.ok();
    upload(&alice, 1).await;
}

#[tokio::test]
async fn nobody_signs_in_the_name_of_another() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let mut forged = all(&alice.user_id, 1);
    sign(&mut forged["master_key"], &bob.user_id, &public(&key(9)), &key(9));
    alice.post(&format!("{KEYS}/device_signing/upload"), forged).await.ok();
    let mut device = device_keys(&alice, &public(&key(7)));
    sign(&mut device, &bob.user_id, &public(&key(9)), &key(9));
    alice.post(&format!("{KEYS}/upload"), json!({"device_keys": device})).await.ok();
    for viewer in [&alice, &bob] {
        let found = query(viewer, &alice).await;
        let master = &found["master_keys"][alice.user_id.as_str()];
        let device = &found["device_keys"][alice.user_id.as_str()][&alice.device_id];
        for key in [master, device] {
            assert!(key["keys"].is_object());
            assert!(key["signatures"].get(bob.user_id.as_str()).is_none(), "{key}");
        }
    }
}

#[tokio::test]
async fn signatures_that_are_there_may_come_again() {
    let server = server().await;
    let alice = server.person("alice").await;
    let login = server.anonymous(Method::POST, "/_matrix/client/v3/login", Some(&password())).await.ok();
    let old = server.person_from(&login);
    for (person, seed) in [(&alice, 7), (&old, 8)] {
        super::publish(person, &public(&key(seed))).await;
    }
    upload(&alice, 1).await;
    let (path, target) = (format!("{KEYS}/signatures/upload"), public(&key(1)));
    let mut master = cross_signing_key(&alice.user_id, "master", &key(1), None);
    sign(&mut master, &old.user_id, &old.device_id, &key(8));
    let body = |master: &Value| json!({alice.user_id.as_str(): {&target: master}});
    assert_eq!(old.post(&path, body(&master)).await.ok(), json!({"failures": {}}));
    old.post("/_matrix/client/v3/logout", json!({})).await.ok();
    sign(&mut master, &alice.user_id, &alice.device_id, &key(7));
    assert_eq!(alice.post(&path, body(&master)).await.ok(), json!({"failures": {}}));
    let found = query(&alice, &alice).await;
    let signatures = &found["master_keys"][alice.user_id.as_str()]["signatures"][alice.user_id.as_str()];
    assert_eq!(signatures.as_object().unwrap().len(), 2, "{signatures}");
    // What is signed by nobody who could, or is not the published key, is refused by itself.
    let mut changed = master.clone();
    changed["usage"] = json!(["master", "more"]);
    let strange = json!({alice.user_id.as_str(): {&target: changed, "NOSUCH": &master, &alice.device_id: {}}});
    let failures = alice.post(&path, strange).await.ok()["failures"][alice.user_id.as_str()].clone();
    assert_eq!(failures[&target]["errcode"], "M_INVALID_PARAM");
    assert_eq!(failures["NOSUCH"]["errcode"], "M_NOT_FOUND");
    assert_eq!(failures[&alice.device_id]["errcode"], "M_INVALID_PARAM");
}
