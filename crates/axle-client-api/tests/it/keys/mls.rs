//! Devices and KeyPackages of MLS.

use std::time::{SystemTime, UNIX_EPOCH};

use axle_client_api::MAX_KEY_BYTES;
use axle_mls::algorithm::KEY_PACKAGE_ALGORITHM;
use axle_mls::{CheckedKeyPackage, DeviceInfo, DeviceKey};
use axle_protocol::{UserId, base64};
use openmls_rust_crypto::OpenMlsRustCrypto;
use serde_json::{Value, json};

use super::{KEYS, query};
use crate::common::{Answer, Person, next, server, two_in_a_room};

const OWN: &str = "/_matrix/client/unstable/im.axle.keys.v1";
const HOUR: u64 = 3600;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn key(user_id: &UserId, device_id: &str, seed: u8) -> DeviceKey {
    DeviceKey::from_seed(user_id.clone(), device_id, &[seed; 32]).unwrap()
}

fn own_key(person: &Person) -> DeviceKey {
    key(&person.user_id, &person.device_id, 1)
}

/// A device object as its device has signed it.
fn signed(key: &DeviceKey) -> Value {
    serde_json::from_str(DeviceInfo::sign(key).json()).unwrap()
}

/// A KeyPackage with its id, good between two times.
fn key_package_between(key: &DeviceKey, from: u64, until: u64, last_resort: bool) -> (String, String) {
    let bytes = key.key_package(&OpenMlsRustCrypto::default(), (from, until), last_resort).unwrap();
    let id = match CheckedKeyPackage::parse(&bytes) {
        Ok(key_package) => key_package.key_id(),
        Err(_) => format!("{KEY_PACKAGE_ALGORITHM}:bad"),
    };
    (id, base64::encode(bytes))
}

fn key_package(key: &DeviceKey, last_resort: bool) -> (String, String) {
    key_package_between(key, now() - HOUR, now() + HOUR, last_resort)
}

async fn upload(person: &Person, body: Value) -> Answer {
    person.post(&format!("{KEYS}/upload"), body).await
}

/// Claims a KeyPackage of somebody's device.
async fn claim(person: &Person, of: &Person) -> Value {
    let wanted = json!({of.user_id.as_str(): {&of.device_id: KEY_PACKAGE_ALGORITHM}});
    let claimed = person.post(&format!("{KEYS}/claim"), json!({"one_time_keys": wanted})).await.ok();
    claimed["one_time_keys"][of.user_id.as_str()][&of.device_id].clone()
}

async fn count(person: &Person) -> Value {
    person.sync("").await["device_one_time_keys_count"].get(KEY_PACKAGE_ALGORITHM).cloned().unwrap_or_default()
}

async fn left(person: &Person) -> Value {
    person.get(&format!("{OWN}/list")).await.ok()
}

#[tokio::test]
async fn key_packages_are_given_out_once_and_the_last_resort_when_there_is_no_other() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let device = own_key(&alice);
    let (first, second, last) = (key_package(&device, false), key_package(&device, false), key_package(&device, true));
    let body = json!({
        "device_keys": signed(&device),
        "one_time_keys": {&first.0: first.1},
        "fallback_keys": {&last.0: last.1},
    });
    let counts = upload(&alice, body.clone()).await.ok();
    assert_eq!(counts["one_time_key_counts"][KEY_PACKAGE_ALGORITHM], 1);
    upload(&alice, json!({"one_time_keys": {&second.0: second.1}})).await.ok();
    let mut expected = signed(&device);
    expected["unsigned"] = json!({"device_display_name": "test"});
    let found = query(&bob, &alice).await;
    assert_eq!(found["device_keys"][alice.user_id.as_str()][&alice.device_id], expected);
    assert_eq!(count(&alice).await, 2);
    assert_eq!(alice.sync("").await["device_unused_fallback_key_types"], json!([KEY_PACKAGE_ALGORITHM]));
    assert_eq!(left(&alice).await, json!({"one_time_keys": [first.0, second.0], "fallback_keys": [last.0]}));
    assert_eq!(claim(&bob, &alice).await, json!({&first.0: first.1}));
    // A client that got no answer repeats its upload.
    let counts = upload(&alice, body).await.ok();
    assert_eq!(counts["one_time_key_counts"][KEY_PACKAGE_ALGORITHM], 1);
    let renamed = format!("{KEY_PACKAGE_ALGORITHM}:other");
    upload(&alice, json!({"one_time_keys": {renamed: first.1}})).await.ok();
    assert_eq!(claim(&bob, &alice).await, json!({&second.0: second.1}));
    assert_eq!(count(&alice).await, Value::Null);
    for _ in 0..2 {
        assert_eq!(claim(&bob, &alice).await, json!({&last.0: last.1}));
    }
    assert_eq!(alice.sync("").await["device_unused_fallback_key_types"], json!([]));
    assert_eq!(left(&alice).await, json!({"one_time_keys": [], "fallback_keys": [last.0]}));
}

#[tokio::test]
async fn a_device_that_is_not_valid_is_refused() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let good = signed(&own_key(&alice));
    let key_id = format!("m.mls.v1.credential.ed25519:{}", alice.device_id);
    let of_another_key = signed(&key(&alice.user_id, &alice.device_id, 2));
    let of_bob = signed(&key(&bob.user_id, &alice.device_id, 1));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut device = good.clone();
        change(&mut device);
        device
    };
    let own = alice.user_id.as_str();
    let bad = [
        (with(&|device| device["signatures"] = json!({})), "M_INVALID_SIGNATURE"),
        (with(&|device| device["algorithms"] = json!([])), "M_INVALID_SIGNATURE"),
        (with(&|device| device["more"] = json!(1)), "M_INVALID_SIGNATURE"),
        (with(&|device| device["signatures"] = of_another_key["signatures"].clone()), "M_INVALID_SIGNATURE"),
        (with(&|device| device["keys"][&key_id] = json!("AAAA")), "M_INVALID_PARAM"),
        (with(&|device| device["keys"][&key_id] = of_bob["keys"][&key_id].clone()), "M_INVALID_PARAM"),
        (with(&|device| device["keys"]["m.mls.v1.credential.ed25519:OTHER"] = json!("AAAA")), "M_INVALID_PARAM"),
        (with(&|device| device["keys"] = json!({"m.mls.v1.credential.p256:X": "AAAA"})), "M_INVALID_PARAM"),
    ];
    for (device, errcode) in bad {
        upload(&alice, json!({"device_keys": device})).await.fails(400, errcode);
    }
    assert_eq!(query(&bob, &alice).await["device_keys"][own], json!({}));
    upload(&alice, json!({"device_keys": good})).await.ok();
}

#[tokio::test]
async fn a_key_package_that_is_not_the_devices_is_refused() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let device = own_key(&alice);
    let good = key_package(&device, false);
    upload(&alice, json!({"one_time_keys": {&good.0: good.1}})).await.fails(400, "M_INVALID_PARAM");
    upload(&alice, json!({"device_keys": signed(&device)})).await.ok();
    let mut broken = base64::decode(&good.1).unwrap();
    *broken.last_mut().unwrap() ^= 1;
    let (broken, id) = (base64::encode(broken), |version: &str| format!("{KEY_PACKAGE_ALGORITHM}:{version}"));
    let other_suite = "m.mls.v1.key_package.dhkemp256-aes128gcm-sha256-p256:x";
    let of = |key: &DeviceKey| key_package(key, false).1;
    let bad = [
        (id("1"), json!(broken), "M_INVALID_SIGNATURE"),
        (id("1"), json!("?"), "M_INVALID_PARAM"),
        (id("1"), json!(""), "M_INVALID_PARAM"),
        (id("1"), json!({"key": good.1}), "M_INVALID_PARAM"),
        (id("1"), json!(base64::encode(vec![0; MAX_KEY_BYTES / 2])), "M_INVALID_PARAM"),
        (other_suite.into(), json!(good.1), "M_INVALID_PARAM"),
        (id("1"), json!(of(&key(&alice.user_id, &alice.device_id, 2))), "M_INVALID_PARAM"),
        (id("1"), json!(of(&key(&alice.user_id, "OTHER", 1))), "M_INVALID_PARAM"),
        (id("1"), json!(of(&key(&bob.user_id, &alice.device_id, 1))), "M_INVALID_PARAM"),
        (id("1"), json!(key_package(&device, true).1), "M_INVALID_PARAM"),
        (id("1"), json!(key_package_between(&device, now() - 2 * HOUR, now() - HOUR, false).1), "M_INVALID_PARAM"),
        (id("1"), json!(key_package_between(&device, now() + HOUR, now() + 2 * HOUR, false).1), "M_INVALID_PARAM"),
        (id("1"), json!(key_package_between(&device, 0, now() + HOUR, false).1), "M_INVALID_PARAM"),
    ];
    for (id, key_package, errcode) in bad {
        // Nothing of it is stored.
        let keys = json!({&good.0: good.1, id: key_package});
        upload(&alice, json!({"one_time_keys": keys})).await.fails(400, errcode);
    }
    upload(&alice, json!({"fallback_keys": {&good.0: good.1}})).await.fails(400, "M_INVALID_PARAM");
    let twice = json!({&good.0: good.1, id("2"): good.1});
    upload(&alice, json!({"one_time_keys": twice})).await.fails(400, "M_INVALID_PARAM");
    assert_eq!(left(&alice).await, json!({"one_time_keys": [], "fallback_keys": []}));
    upload(&alice, json!({"one_time_keys": {&good.0: good.1}})).await.ok();
}

#[tokio::test]
async fn another_credential_makes_key_packages_void() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (before, after) = (own_key(&alice), key(&alice.user_id, &alice.device_id, 2));
    let (old, last, new) = (key_package(&before, false), key_package(&before, true), key_package(&after, false));
    let plain = json!({"signed_curve25519:A": {"key": "a"}});
    upload(&alice, json!({"device_keys": signed(&before), "one_time_keys": plain})).await.ok();
    let both = json!({"one_time_keys": {&old.0: old.1}, "fallback_keys": {&last.0: last.1}});
    upload(&alice, both.clone()).await.ok();
    // The same device once more changes nothing.
    upload(&alice, json!({"device_keys": signed(&before)})).await.ok();
    assert_eq!(count(&alice).await, 1);
    upload(&alice, json!({"device_keys": signed(&after), "one_time_keys": {&new.0: new.1}})).await.ok();
    assert_eq!(left(&alice).await, json!({"one_time_keys": ["signed_curve25519:A", new.0], "fallback_keys": []}));
    upload(&alice, both).await.fails(400, "M_INVALID_PARAM");
    assert_eq!(claim(&bob, &alice).await, json!({&new.0: new.1}));
    assert_eq!(claim(&bob, &alice).await, Value::Null);
}

#[tokio::test]
async fn a_device_takes_its_keys_back() {
    let server = server().await;
    let (alice, bob, _) = two_in_a_room(&server).await;
    let device = own_key(&alice);
    let (one, two, last) = (key_package(&device, false), key_package(&device, false), key_package(&device, true));
    let keys = json!({&one.0: one.1, &two.0: two.1});
    let body = json!({"device_keys": signed(&device), "one_time_keys": keys, "fallback_keys": {&last.0: last.1}});
    upload(&alice, body).await.ok();
    let withdraw = async |body: Value| alice.post(&format!("{OWN}/withdraw"), body).await;
    let before = bob.sync("").await;
    let counts = withdraw(json!({"one_time_keys": [one.0, "x:y"], "fallback_keys": [last.0]})).await.ok();
    assert_eq!(counts["one_time_key_counts"][KEY_PACKAGE_ALGORITHM], 1);
    assert_eq!(left(&alice).await, json!({"one_time_keys": [two.0], "fallback_keys": []}));
    let quiet = bob.sync(&next(&before)).await;
    assert_eq!(quiet["device_lists"]["changed"], json!([]), "that is nobody else's business");
    for bad in [json!({"one_time_keys": ["x"]}), json!({"fallback_keys": vec!["x:y"; 5_001]})] {
        withdraw(bad).await.fails(400, "M_INVALID_PARAM");
    }
    withdraw(json!({"device_keys": true})).await.ok();
    let told = bob.sync(&next(&quiet)).await;
    assert_eq!(told["device_lists"]["changed"], json!([alice.user_id]));
    assert_eq!(query(&bob, &alice).await["device_keys"][alice.user_id.as_str()], json!({}));
    assert_eq!(claim(&bob, &alice).await, Value::Null);
    assert_eq!(alice.device_ids().await.len(), 1, "it is logged in all the same");
}
