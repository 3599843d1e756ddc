//! Fuzz targets of the formats. Each runs for a second under `cargo test`; how to run them for longer, and what to do
//! with a finding, is in CONTRIBUTING.md.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::LazyLock;

use axle_protocol::canonical_json::{self, as_integer};
use axle_protocol::event::{parse_stripped, reference_id};
use axle_protocol::signing::KeyMap;
use axle_protocol::signing::server_keys::notary::{KeyQuery, KeyQueryResponse};
use axle_protocol::signing::server_keys::{ServerKeys, publish};
use axle_protocol::signing::x_matrix::{RequestAuth, SignedRequest, XMatrix, sign_request};
use axle_protocol::{Event, EventKind, auth};
use common::edits::candidates;
use common::*;
use serde_json::{Value, json};

static KEYS: LazyLock<KeyMap> = LazyLock::new(keys);

static EVENTS: LazyLock<Vec<Event>> = LazyLock::new(|| {
    let mut room = Room::default();
    let levels = json!({"users": {ALICE: 100}, "events": {"x": 1}, "ban": 50});
    vec![
        room.send(ALICE, "m.room.create", Some(""), create_content()),
        room.send(ALICE, "m.room.member", Some(ALICE), json!({"membership": "join"})),
        room.send(ALICE, "m.room.power_levels", Some(""), levels),
        room.send(ALICE, "m.room.join_rules", Some(""), json!({"join_rule": "public"})),
        room.send(BOB, "m.room.member", Some(BOB), json!({"membership": "join", "displayname": "é😀"})),
        room.send(BOB, "m.room.message", None, json!({"body": "x", "n": [1, null, {"a": true}]})),
        lpdu(BOB, "m.room.message", None, json!({"body": "\u{1}\\\""})),
    ]
});

#[test]
fn event() {
    let seeds: Vec<Vec<u8>> = EVENTS.iter().map(|event| event.json().as_bytes().to_vec()).collect();
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| {
        for bytes in candidates(&seeds, input) {
            let id = reference_id(&bytes);
            let Ok(event) = Event::parse(&bytes, VERSION) else { continue };
            assert_eq!(id.as_ref(), Some(event.event_id()));
            check_event(&event);
        }
    });
}

fn check_event(event: &Event) {
    assert_eq!(Event::parse(event.json().as_bytes(), VERSION).as_ref(), Ok(event));
    let canonical = Event::parse(event.canonical_json().as_bytes(), VERSION).unwrap();
    assert_eq!((canonical.json(), canonical.event_id()), (event.canonical_json(), event.event_id()));
    let redacted = event.redacted();
    assert_eq!(Event::parse(redacted.json().as_bytes(), VERSION).as_ref(), Ok(&redacted));
    assert_eq!(redacted.event_id(), event.event_id());
    if event.verify(&*KEYS).is_valid() {
        let known = EVENTS.iter().find(|known| known.event_id() == event.event_id());
        assert_eq!(known.map(Event::content_hash_input), Some(event.content_hash_input()), "forged: {event:?}");
    }
    if event.kind() == EventKind::Lpdu
        && event.hub_server().is_some_and(|hub| hub.as_str() == HUB)
        && let Ok(pdu) = event.complete(&[], &[], &server(HUB), &key_of(HUB))
    {
        assert_eq!(Event::parse(pdu.json().as_bytes(), VERSION).as_ref(), Ok(&pdu));
        assert_eq!(pdu.check_hashes().content, Some(true));
        assert_eq!(pdu.check_hashes().lpdu, event.check_hashes().lpdu);
    }
    let mut room = Room::new();
    let _ = (auth::check(event, &room.state), auth::check_auth_events(event, &room.state, &|_| None));
    room.state.apply(event);
    let _ = auth::check(event, &room.state);
    let _ = parse_stripped(&serde_json::from_str(event.json()).unwrap());
}

/// Whether RFC 8785 and the other implementation, which takes integers for exact, must agree.
fn has_only_doubles(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64() || as_integer(value).is_some(),
        Value::Array(items) => items.iter().all(has_only_doubles),
        Value::Object(map) => map.values().all(has_only_doubles),
        _ => true,
    }
}

#[test]
fn canonical_json() {
    let mut seeds: Vec<Vec<u8>> = EVENTS.iter().map(|event| event.json().as_bytes().to_vec()).collect();
    seeds.extend([
        br#"{"z":[1.5,1e21,-0.0,1e-7,123456789012345680000],"\ud83d\ude00":"\u0001\b\/","\uff61":{},"a":[[[]]]}"#
            .to_vec(),
        b"[0.1,5e-324,1.7976931348623157e308,4.5,2e-3,333333333.33333329]".to_vec(),
    ]);
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| {
        for bytes in candidates(&seeds, input) {
            let Ok(value) = canonical_json::parse(&bytes) else { continue };
            let text = canonical_json::to_string(&value);
            let again = canonical_json::parse(text.as_bytes()).unwrap();
            assert_eq!(canonical_json::to_string(&again), text);
            if has_only_doubles(&value) {
                let other = serde_json_canonicalizer::pipe(std::str::from_utf8(&bytes).unwrap());
                assert_eq!(other.ok().as_deref(), Some(&*text));
            }
        }
    });
}

#[test]
fn x_matrix() {
    let (origin, destination) = (server("part.example"), server(HUB));
    let request =
        SignedRequest { method: "PUT", uri: "/a", origin: &origin, destination: &destination, content: Some("{}") };
    let good = sign_request(&request, &key_of("part.example"));
    let plain = format!("x-matrix origin=part.example,key=ed25519:1,sig={}, x=\"\\\"\"", good.signature);
    let seeds = vec![good.to_header().into_bytes(), plain.into_bytes()];
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| {
        for bytes in candidates(&seeds, input) {
            let Ok(text) = std::str::from_utf8(&bytes) else { continue };
            let Ok(header) = XMatrix::parse(text) else { continue };
            assert_eq!(XMatrix::parse(&header.to_header()).as_ref(), Ok(&header));
            let auth = RequestAuth::parse([text]).unwrap();
            assert_eq!(*auth.origin(), header.origin);
            if auth.verify("PUT", "/a", Some("{}"), &destination, &*KEYS, 0).is_ok() {
                assert_eq!((&header.origin, &header.key), (&good.origin, &good.key));
            }
            auth.verify("PUT", "/b", Some("{}"), &destination, &*KEYS, 0).unwrap_err();
        }
    });
}

#[test]
fn server_keys() {
    let name = server("part.example");
    let keys = publish(&name, 1_700_000_000_000, true, &[key_of(name.as_str())], &std::collections::BTreeMap::new());
    let answer = json!({"server_keys": [keys]});
    let query = json!({"server_keys": {"part.example": {"ed25519:1": {"minimum_valid_until_ts": 1}}}});
    let seeds: Vec<Vec<u8>> = [json!(keys), answer, query].iter().map(|value| value.to_string().into_bytes()).collect();
    let good = key_of(name.as_str()).verify_key();
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| {
        for bytes in candidates(&seeds, input) {
            let _ = KeyQuery::parse(&bytes);
            for entry in KeyQueryResponse::parse(&bytes).unwrap_or_default().server_keys {
                let _ = ServerKeys::from_object(&entry, &name, 0);
            }
            if let Ok(keys) = ServerKeys::parse(&bytes, &name, 0) {
                assert_eq!(keys.verify_keys.into_values().collect::<Vec<_>>(), std::slice::from_ref(&good));
            }
        }
    });
}
