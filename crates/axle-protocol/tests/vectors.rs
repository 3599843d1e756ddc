//! Events, hashes, signatures and canonical JSON made by other implementations.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use axle_protocol::event::{RequiredSignature, Template};
use axle_protocol::signing::x_matrix::{RequestAuth, SignedRequest, XMatrix, sign_request};
use axle_protocol::signing::{KeyMap, KeySource, SignatureStatus, check_object, sign_object};
use axle_protocol::{
    Event, EventId, EventKind, KeyId, RoomVersion, ServerName, SigningKey, VerifyKey, base64, canonical_json,
};
use serde_json::{Value, json};

const VERSION: RoomVersion = RoomVersion::Unstable02;

fn vectors(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is not a string"))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    let items = value.as_array().expect("an array");
    assert!(!items.is_empty());
    items.iter()
}

fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

fn key_id() -> KeyId {
    KeyId::parse("ed25519:1").unwrap()
}

fn event_of(value: &Value) -> Event {
    Event::parse(value.to_string().as_bytes(), VERSION).unwrap()
}

/// The keys of a map server -> key id -> key, or server -> key.
fn key_map(keys: &Value) -> KeyMap {
    let mut map = KeyMap::default();
    let mut add = |server_name: &str, id: &str, key: &Value| {
        let key = VerifyKey::from_base64(key.as_str().unwrap()).unwrap();
        map.insert(server(server_name), KeyId::parse(id).unwrap(), key);
    };
    for (server, keys) in keys.as_object().unwrap() {
        match keys {
            Value::Object(keys) => keys.iter().for_each(|(id, key)| add(server, id, key)),
            key => add(server, "ed25519:1", key),
        }
    }
    map
}

/// Made by a generator that was written in Python from the draft's text alone, with libsodium's signatures: LPDUs, PDUs
/// and invites of random content in random spelling, some damaged after they were signed, one for each kind of outcome.
#[test]
fn events_of_a_generator_that_knows_only_the_draft() {
    let vectors = vectors("independent");
    let keys = key_map(&vectors["keys"]);
    for case in items(&vectors["events"]) {
        let event = Event::parse(text(case, "json").as_bytes(), VERSION).unwrap();
        let verification = event.verify(&keys);
        let hash = |known: Option<bool>, hash: [u8; 32]| Value::from(known.map(|_| base64::encode(hash)));
        let signatures = verification.signatures.iter().map(|(needed, status)| (needed.server.to_string(), status));
        let signatures: BTreeMap<_, _> = signatures.collect();
        let outcome = json!({
            "json": case["json"],
            "event_id": event.event_id(),
            "kind": event.kind(),
            "lpdu_hash": hash(verification.hashes.lpdu, event.computed_lpdu_hash()),
            "content_hash": hash(verification.hashes.content, event.computed_content_hash()),
            "signatures": signatures,
            "valid": verification.is_valid(),
        });
        assert_eq!(outcome, *case);
    }
}

fn assert_all_good(event: &Event, keys: &KeyMap) {
    let verification = event.verify(keys);
    assert!(verification.is_valid(), "{verification:?} of {event:?}");
}

#[test]
fn canonical_json_of_another_implementation() {
    let (mut agreed, mut refused) = (0, 0);
    for case in items(&vectors("canonical_json")) {
        let input = text(case, "input_json");
        // RFC 8785 builds on I-JSON, which has neither of these; two servers would read them differently.
        if input == r#"{"a":"\ud800"}"# || input == r#"{"a":1,"a":2}"# {
            canonical_json::parse(input.as_bytes()).unwrap_err();
            refused += 1;
            continue;
        }
        let expected = match case.get("rfc8785_style") {
            Some(style) => style.as_str().unwrap(),
            None => text(case, "eigenserver_canonical"),
        };
        let value = canonical_json::parse(input.as_bytes()).unwrap();
        assert_eq!(canonical_json::to_string(&value), expected, "from {input}");
        agreed += 1;
    }
    assert_eq!((agreed, refused), (24, 2));
}

#[test]
fn signed_objects_of_another_implementation() {
    let vectors = vectors("signing");
    let seed = base64::decode_array(text(&vectors, "seed_b64")).unwrap();
    let domain = server(text(&vectors, "server"));
    let key = SigningKey::from_seed(KeyId::parse(text(&vectors, "key_id")).unwrap(), &seed);
    assert_eq!(key.verify_key().to_base64(), text(&vectors, "public_key"));
    let mut keys = KeyMap::default();
    keys.insert(domain.clone(), key.id().clone(), key.verify_key());
    for case in items(&vectors["sign_json"]) {
        let mut object = case["input"].as_object().unwrap().clone();
        sign_object(&mut object, domain.as_str(), &key);
        assert_eq!(Value::Object(object), case["output"]);
        let output = case["output"].as_object().unwrap();
        assert_eq!(check_object(output, &domain, &keys, 0), SignatureStatus::Ok);
    }
}

#[test]
fn events_of_another_implementation() {
    let vectors = vectors("events");
    assert_eq!(text(&vectors, "room_version"), VERSION.as_str());
    let keys = key_map(&vectors["public_keys"]);
    let mut lpdus = 0;
    for case in items(&vectors["events"]) {
        let event = event_of(&case["event"]);
        assert_eq!(event.kind(), EventKind::Pdu);
        assert_all_good(&event, &keys);
        assert_eq!(event.event_id().as_str(), text(case, "event_id"));
        assert_eq!(event.redacted_input(), text(case, "canonical_redacted_for_reference_hash"));
        assert_eq!(event.content_hash_input(), text(case, "canonical_for_content_hash"));
        assert_eq!(base64::encode(event.computed_content_hash()), text(case, "content_hash"));
        assert_eq!(event.event_id().as_str()[1..], *text(case, "reference_hash"));
        assert_eq!(event.redacted().event_id(), event.event_id());
        check_each_signature(&event, &case["signatures"], &keys);
        if case.get("lpdu").is_some() {
            check_lpdu(&event, case, &keys);
            lpdus += 1;
        }
    }
    assert_eq!(lpdus, 2);
}

fn check_each_signature(event: &Event, signatures: &Value, keys: &KeyMap) {
    for signature in items(signatures) {
        let server = server(text(signature, "server"));
        let (form, bytes) = match text(signature, "covers") {
            "redacted PDU" => (EventKind::Pdu, event.redacted_input()),
            "redacted LPDU" => (EventKind::Lpdu, event.redacted_lpdu_input().unwrap()),
            other => panic!("covers {other}"),
        };
        assert_eq!(bytes, text(signature, "signed_bytes"));
        let key = keys.verify_key(&server, &KeyId::parse(text(signature, "key_id")).unwrap(), 0).unwrap();
        assert_eq!(key.to_base64(), text(signature, "public_key"));
        assert!(key.verify(bytes.as_bytes(), text(signature, "signature")));
        let needed = RequiredSignature { server, form };
        assert_eq!(event.check_signature(&needed, keys), SignatureStatus::Ok);
    }
}

fn check_lpdu(pdu: &Event, case: &Value, keys: &KeyMap) {
    let lpdu = event_of(&case["lpdu"]);
    assert_eq!(lpdu.kind(), EventKind::Lpdu);
    assert_all_good(&lpdu, keys);
    assert_eq!(lpdu.event_id().as_str(), text(case, "lpdu_event_id"));
    assert_eq!(base64::encode(lpdu.lpdu_hash().unwrap()), text(case, "lpdu_hash"));
    for event in [&lpdu, pdu] {
        assert_eq!(event.lpdu_hash_input(), text(case, "canonical_for_lpdu_hash"));
        assert_eq!(base64::encode(event.computed_lpdu_hash()), text(case, "lpdu_hash"));
    }
    assert_eq!(lpdu.lpdu_hash(), pdu.lpdu_hash());
}

#[test]
fn an_lpdu_becomes_a_pdu_step_by_step() {
    let vectors = vectors("lpdu_to_pdu");
    let keys = key_map(&vectors["public_keys"]);
    let seeds = &vectors["seeds_b64"];
    let key = |name| SigningKey::from_seed(key_id(), &base64::decode_array(text(seeds, name)).unwrap());
    let (hub, hub_key) = (server("hub.example.org"), key("hub.example.org"));
    let lpdu = event_of(&vectors["step2_signed_lpdu"]);
    assert_eq!(lpdu.lpdu_hash_input(), text(&vectors, "step1_lpdu_hash_input"));
    assert_eq!(lpdu.redacted_lpdu_input().unwrap(), text(&vectors, "lpdu_signed_bytes"));
    assert_eq!(lpdu.event_id().as_str(), text(&vectors, "lpdu_event_id"));
    assert_all_good(&lpdu, &keys);

    let ids = |field: &str| -> Vec<EventId> {
        items(&vectors["step3_pdu"][field]).map(|id| EventId::parse(id.as_str().unwrap()).unwrap()).collect()
    };
    let pdu = lpdu.complete(&ids("auth_events"), &ids("prev_events"), &hub, &hub_key).unwrap();
    assert_eq!(pdu, event_of(&serde_json::from_str(pdu.json()).unwrap()));
    assert_eq!(serde_json::from_str::<Value>(pdu.json()).unwrap(), vectors["step3_pdu"]);
    assert_eq!(pdu.content_hash_input(), text(&vectors, "pdu_content_hash_input"));
    assert_eq!(pdu.redacted_input(), text(&vectors, "pdu_signed_and_reference_hashed_bytes"));
    assert_eq!(pdu.event_id().as_str(), text(&vectors, "event_id"));
    assert_all_good(&pdu, &keys);
}

/// The vectors' LPDU holds `2.5`, which this server verifies but does not create; without it the steps are ours too.
#[test]
fn a_participant_builds_the_same_lpdu() {
    let vectors = vectors("lpdu_to_pdu");
    let seed = base64::decode_array(text(&vectors["seeds_b64"], "part.example.org")).unwrap();
    let (part, key) = (server("part.example.org"), SigningKey::from_seed(key_id(), &seed));
    let unsigned = &vectors["step1_unsigned_lpdu"];
    let mut template = Template {
        room_id: text(unsigned, "room_id").parse().unwrap(),
        event_type: text(unsigned, "type").into(),
        state_key: None,
        sender: text(unsigned, "sender").parse().unwrap(),
        origin_server_ts: unsigned["origin_server_ts"].as_i64().unwrap(),
        content: unsigned["content"].as_object().unwrap().clone(),
    };
    template.clone().into_lpdu(VERSION, &server("hub.example.org"), &part, &key).unwrap_err();
    template.content["n"] = serde_json::json!([1, null]);
    let lpdu = template.into_lpdu(VERSION, &server("hub.example.org"), &part, &key).unwrap();
    assert_eq!(lpdu.lpdu_hash_input(), text(&vectors, "step1_lpdu_hash_input").replace("[1,2.5,null]", "[1,null]"));
    assert_all_good(&lpdu, &key_map(&vectors["public_keys"]));
}

#[test]
fn request_signatures_of_another_implementation() {
    let destination = server("localhost:3000");
    for case in items(&vectors("x_matrix")) {
        let signed: Value = serde_json::from_str(text(case, "signed_bytes")).unwrap();
        let header = XMatrix::parse(text(case, "authorization")).unwrap();
        assert_eq!(header.to_header(), text(case, "authorization"));
        let content = signed.get("content").map(canonical_json::to_string);
        let request = SignedRequest {
            method: text(case, "method"),
            uri: text(&signed, "uri"),
            origin: &header.origin,
            destination: &destination,
            content: content.as_deref(),
        };
        assert_eq!(request.signed_bytes(), text(case, "signed_bytes"));
        let mut keys = KeyMap::default();
        let key = VerifyKey::from_base64(text(case, "public_key")).unwrap();
        keys.insert(header.origin.clone(), header.key.clone(), key);
        let auth = RequestAuth::parse([text(case, "authorization")]).unwrap();
        assert_eq!(*auth.origin(), header.origin);
        auth.verify(request.method, request.uri, request.content, &destination, &keys, 0).unwrap();
        // Any other method, path, body or receiver must not pass.
        auth.verify("DELETE", request.uri, request.content, &destination, &keys, 0).unwrap_err();
        auth.verify(request.method, "/", request.content, &destination, &keys, 0).unwrap_err();
        auth.verify(request.method, request.uri, Some("{\"a\":1}"), &destination, &keys, 0).unwrap_err();
        auth.verify(request.method, request.uri, request.content, &server("other"), &keys, 0).unwrap_err();
    }
}

#[test]
fn a_get_may_be_signed_with_empty_content_too() {
    let (origin, destination) = (server("a.example"), server("b.example"));
    let key = SigningKey::from_seed(key_id(), &[7; 32]);
    let mut keys = KeyMap::default();
    keys.insert(origin.clone(), key_id(), key.verify_key());
    for content in [None, Some("{}")] {
        let request = SignedRequest { method: "GET", uri: "/x", origin: &origin, destination: &destination, content };
        let header = sign_request(&request, &key).to_header();
        let auth = RequestAuth::parse([&*header]).unwrap();
        auth.verify("GET", "/x", None, &destination, &keys, 0).unwrap();
    }
}
