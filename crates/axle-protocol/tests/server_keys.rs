//! Published server keys and notaries.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use axle_protocol::limits::{MAX_KEY_VALIDITY_MS, MAX_KEYS_PER_SERVER, MAX_SERVERS_PER_KEY_QUERY};
use axle_protocol::signing::server_keys::notary::{KeyQuery, KeyQueryResponse, attest, check_attested};
use axle_protocol::signing::server_keys::{OldKey, ServerKeys, ServerKeysError, publish};
use axle_protocol::signing::{KeyMap, sign_object};
use axle_protocol::{KeyId, SigningKey};
use common::*;
use serde_json::{Map, Value, json};

const NOW: i64 = 1_700_000_000_000;
const NAME: &str = "a.example";

fn key(id: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(KeyId::parse(id).unwrap(), &[seed; 32])
}

fn response(keys: &[SigningKey]) -> Map<String, Value> {
    let old = OldKey { key: key("ed25519:old", 9).verify_key(), expired_ts: NOW - 1000 };
    let old = BTreeMap::from([(KeyId::parse("ed25519:old").unwrap(), old)]);
    publish(&server(NAME), NOW + 3_600_000, true, keys, &old)
}

fn parse(object: &Map<String, Value>) -> Result<ServerKeys, ServerKeysError> {
    ServerKeys::parse(json!(object).to_string().as_bytes(), &server(NAME), NOW)
}

/// The response with one field changed, and signed anew.
fn changed(field: &str, value: Option<Value>) -> Map<String, Value> {
    let key = key("ed25519:1", 1);
    let mut object = response(std::slice::from_ref(&key));
    object.remove("signatures");
    match value {
        Some(value) => drop(object.insert(field.into(), value)),
        None => drop(object.remove(field)),
    }
    sign_object(&mut object, NAME, &key);
    object
}

#[test]
fn what_we_publish_is_accepted() {
    let keys = [key("ed25519:1", 1), key("ed25519:2", 2)];
    let parsed = parse(&response(&keys)).unwrap();
    assert_eq!(parsed.server_name.as_str(), NAME);
    assert_eq!(parsed.valid_until_ts, NOW + 3_600_000);
    assert_eq!(parsed.linearized, Some(true));
    for key in &keys {
        assert_eq!(parsed.verify_keys[key.id()], key.verify_key());
    }
    assert_eq!(parsed.verify_keys.len(), 2);
    assert_eq!(parsed.old_verify_keys[&KeyId::parse("ed25519:old").unwrap()].expired_ts, NOW - 1000);
    let not_linearized = publish(&server(NAME), NOW, false, &keys, &BTreeMap::new());
    assert!(!not_linearized.contains_key("m.linearized"));
    assert_eq!(parse(&not_linearized).unwrap().linearized, None);
}

#[test]
fn every_current_key_must_sign() {
    let keys = [key("ed25519:1", 1), key("ed25519:2", 2)];
    for key in &keys {
        let mut object = response(&keys);
        object["signatures"][NAME].as_object_mut().unwrap().remove(key.id().as_str());
        assert_eq!(parse(&object), Err(ServerKeysError::NotSelfSigned(key.id().clone())));
    }
    let mut object = response(&keys);
    let signature = object["signatures"][NAME]["ed25519:1"].clone();
    object["signatures"][NAME]["ed25519:2"] = signature;
    assert_eq!(parse(&object), Err(ServerKeysError::NotSelfSigned(keys[1].id().clone())));
    let mut object = response(&keys);
    object["valid_until_ts"] = json!(NOW + 7_200_000);
    assert!(matches!(parse(&object), Err(ServerKeysError::NotSelfSigned(_))));
}

#[test]
fn keys_are_of_the_server_that_was_asked() {
    let object = response(&[key("ed25519:1", 1)]);
    let other = ServerKeys::parse(json!(object).to_string().as_bytes(), &server("b.example"), NOW);
    assert_eq!(other, Err(ServerKeysError::OtherServer(NAME.into())));
}

#[test]
fn malformed_responses() {
    let good = key("ed25519:1", 1).verify_key().to_base64();
    parse(&changed("x", Some(json!({"y": 1.5})))).unwrap();
    parse(&changed("old_verify_keys", None)).unwrap();
    for (field, values) in [
        ("server_name", vec![None, Some(json!(1)), Some(json!(null))]),
        ("valid_until_ts", vec![None, Some(json!("1")), Some(json!(1.5)), Some(json!(1e300))]),
        (
            "verify_keys",
            vec![
                None,
                Some(json!([])),
                Some(json!({"ed25519:1": good})),
                Some(json!({"ed25519:1": {}})),
                Some(json!({"ed25519:1": {"key": "AAAA"}})),
                Some(json!({"ed25519:1": {"key": "A".repeat(43)}})),
                Some(json!({"ed25519:a-b": {"key": good}})),
            ],
        ),
        (
            "old_verify_keys",
            vec![
                Some(json!([])),
                Some(json!({"ed25519:0": {"key": good}})),
                Some(json!({"ed25519:0": {"key": good, "expired_ts": "1"}})),
                Some(json!({"ed25519:0": {"expired_ts": 1}})),
            ],
        ),
    ] {
        for value in values {
            let result = parse(&changed(field, value.clone()));
            assert_eq!(result, Err(ServerKeysError::Field(field)), "{field} {value:?}");
        }
    }
    assert_eq!(parse(&changed("verify_keys", Some(json!({})))), Err(ServerKeysError::NoKey));
    for bytes in ["", "[]", "{", "{\"server_name\":\"a.example\",\"server_name\":\"a.example\"}"] {
        assert!(matches!(ServerKeys::parse(bytes.as_bytes(), &server(NAME), NOW), Err(ServerKeysError::Json(_))));
    }
}

#[test]
fn keys_of_other_algorithms_are_passed_over() {
    let good = key("ed25519:1", 1).verify_key().to_base64();
    let parsed =
        parse(&changed("verify_keys", Some(json!({"ed25519:1": {"key": good}, "ml-dsa:1": {"x": 1}})))).unwrap();
    assert_eq!(parsed.verify_keys.len(), 1);
    let only_other = changed("verify_keys", Some(json!({"ml-dsa:1": {"key": "x"}})));
    assert_eq!(parse(&only_other), Err(ServerKeysError::NoKey));
}

#[test]
fn the_number_of_keys_is_bounded() {
    let good = key("ed25519:1", 1).verify_key().to_base64();
    let old = |n: usize| -> Value {
        (0..n).map(|i| (format!("ed25519:x{i}"), json!({"key": good, "expired_ts": 1}))).collect::<Map<_, _>>().into()
    };
    parse(&changed("old_verify_keys", Some(old(MAX_KEYS_PER_SERVER)))).unwrap();
    let too_many = changed("old_verify_keys", Some(old(MAX_KEYS_PER_SERVER + 1)));
    assert_eq!(parse(&too_many), Err(ServerKeysError::TooMany));
}

#[test]
fn validity_is_capped_at_seven_days() {
    for (says, counts) in [
        (NOW + MAX_KEY_VALIDITY_MS - 1, NOW + MAX_KEY_VALIDITY_MS - 1),
        (NOW + MAX_KEY_VALIDITY_MS + 1, NOW + MAX_KEY_VALIDITY_MS),
        ((1 << 53) - 1, NOW + MAX_KEY_VALIDITY_MS),
        (NOW - 5, NOW - 5),
        (-1, -1),
    ] {
        assert_eq!(parse(&changed("valid_until_ts", Some(json!(says)))).unwrap().valid_until_ts, counts);
    }
}

#[test]
fn when_a_key_counts() {
    let keys = parse(&response(&[key("ed25519:1", 1)])).unwrap();
    let (current, old) = (KeyId::parse("ed25519:1").unwrap(), KeyId::parse("ed25519:old").unwrap());
    let until = keys.valid_until_ts;
    assert!(keys.request_key(&current, until).is_some() && keys.request_key(&current, until + 1).is_none());
    assert!(keys.request_key(&old, 0).is_none());
    assert!(keys.event_key(&current, until).is_some() && keys.event_key(&current, until + 1).is_none());
    assert!(keys.event_key(&old, NOW - 1000).is_some() && keys.event_key(&old, NOW - 999).is_none());
    assert!(keys.event_key(&KeyId::parse("ed25519:x").unwrap(), 0).is_none());
}

#[test]
fn a_notary_attests() {
    let (own, notary) = (key("ed25519:1", 1), key("ed25519:n", 7));
    let name = server("notary.example");
    let published = json!(response(std::slice::from_ref(&own))).to_string();
    let entry = attest(published.as_bytes(), &name, &notary).unwrap();
    let mut notary_keys = KeyMap::default();
    notary_keys.insert(name.clone(), notary.id().clone(), notary.verify_key());
    let check = |entry: &Map<String, Value>, keys: &KeyMap| check_attested(entry, &server(NAME), &name, keys, NOW);
    assert_eq!(check(&entry, &notary_keys).unwrap(), parse(&response(std::slice::from_ref(&own))).unwrap());
    check(&entry, &KeyMap::default()).unwrap_err();
    let unattested = serde_json::from_str(&published).unwrap();
    check(&unattested, &notary_keys).unwrap_err();
    // The notary cannot vouch for what the server did not sign.
    let mut forged = entry;
    forged["verify_keys"]["ed25519:1"]["key"] = json!(notary.verify_key().to_base64());
    sign_object(&mut forged, name.as_str(), &notary);
    assert!(matches!(check(&forged, &notary_keys), Err(ServerKeysError::NotSelfSigned(_))));
}

#[test]
fn notary_queries() {
    let body = json!({"server_keys": {
        "a.example": {"ed25519:0": {"minimum_valid_until_ts": 5}, "rsa:1": {"minimum_valid_until_ts": 7}, "x": {}},
        "b.example": {},
    }});
    let query = KeyQuery::parse(body.to_string().as_bytes()).unwrap();
    assert_eq!(query.minimum_valid_until_ts(&server("a.example")), Some(7));
    assert_eq!(query.minimum_valid_until_ts(&server("b.example")), None);
    assert_eq!(json!(query), body);
    let mixed = KeyQuery::parse(br#"{"server_keys":{"1.2.3.4":{},"[::1]:80":{},"b.example":{}}}"#).unwrap();
    assert_eq!(mixed.server_keys.into_keys().collect::<Vec<_>>(), [server("b.example")]);
    for wrong in [json!({}), json!({"server_keys": []}), json!({"server_keys": {"a": 1}})] {
        assert_eq!(
            KeyQuery::parse(wrong.to_string().as_bytes()),
            Err(ServerKeysError::Field("server_keys")),
            "{wrong}"
        );
    }
    let servers = |n: usize| {
        let servers: Map<String, Value> = (0..n).map(|i| (format!("s{i}.example"), json!({}))).collect();
        KeyQuery::parse(json!({"server_keys": servers}).to_string().as_bytes())
    };
    servers(MAX_SERVERS_PER_KEY_QUERY).unwrap();
    assert_eq!(servers(MAX_SERVERS_PER_KEY_QUERY + 1), Err(ServerKeysError::TooMany));

    let answer = KeyQueryResponse { server_keys: vec![response(&[key("ed25519:1", 1)])] };
    assert_eq!(KeyQueryResponse::parse(json!(answer).to_string().as_bytes()).unwrap(), answer);
    for wrong in ["{}", "{\"server_keys\":{}}", "{\"server_keys\":[1]}"] {
        KeyQueryResponse::parse(wrong.as_bytes()).unwrap_err();
    }
}
