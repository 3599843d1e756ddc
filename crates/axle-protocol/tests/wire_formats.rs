//! Snapshots of everything that goes over the wire.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use axle_protocol::event::{Template, parse_stripped, stripped};
use axle_protocol::signing::server_keys::notary::{KeyCriteria, KeyQuery, KeyQueryResponse};
use axle_protocol::signing::server_keys::{OldKey, publish};
use axle_protocol::signing::x_matrix::{SignedRequest, sign_request};
use axle_protocol::{Event, KeyId, MatrixError, RoomVersion, SigningKey};
use common::*;
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};

fn json_of(event: &Event) -> Value {
    serde_json::from_str(event.json()).unwrap()
}

#[test]
fn an_lpdu() {
    let event = lpdu(BOB, "m.room.message", None, json!({"msgtype": "m.text", "body": "héllo"}));
    assert_snapshot!("lpdu_exact", event.json());
    assert_snapshot!("lpdu_id", event.event_id());
    assert_snapshot!("lpdu_redacted", event.redacted().json());
}

#[test]
fn a_pdu_made_from_it() {
    let lpdu = lpdu(BOB, "m.room.message", None, json!({"msgtype": "m.text", "body": "héllo"}));
    let auth = ["$create", "$levels", "$member"].map(|id| id.parse().unwrap());
    let event = lpdu.complete(&auth, &["$head".parse().unwrap()], &server(HUB), &key_of(HUB)).unwrap();
    assert_json_snapshot!("pdu_of_a_participant", json_of(&event));
    assert_snapshot!("pdu_of_a_participant_id", event.event_id());
    assert_json_snapshot!("pdu_of_a_participant_redacted", json_of(&event.redacted()));
}

#[test]
fn the_first_events_of_a_room() {
    let mut room = Room::default();
    let events = [
        room.send(ALICE, "m.room.create", Some(""), create_content()),
        room.send(ALICE, "m.room.member", Some(ALICE), json!({"membership": "join"})),
        room.send(ALICE, "m.room.power_levels", Some(""), json!({"users": {ALICE: 100}})),
        room.send(ALICE, "m.room.join_rules", Some(""), json!({"join_rule": "public"})),
        room.send(BOB, "m.room.member", Some(BOB), json!({"membership": "join"})),
    ];
    assert_json_snapshot!("first_events", events.iter().map(json_of).collect::<Vec<_>>());
}

#[test]
fn the_other_room_version_changes_no_bytes() {
    let template = |version: RoomVersion| {
        let template: Template = template(ALICE, "m.room.name", Some(""), json!({"name": "x"}));
        template.into_pdu(version, &[], &[], &server(HUB), &key_of(HUB)).unwrap()
    };
    assert_eq!(template(RoomVersion::I1).json(), template(RoomVersion::Unstable02).json());
}

#[test]
fn an_invite_with_the_targets_signature() {
    let invite = pdu(ALICE, "m.room.member", Some(CAROL), json!({"membership": "invite", "reason": "hi"}), &[], &[]);
    let signed = invite.signed_by(&server("third.example"), &key_of("third.example")).unwrap();
    assert_json_snapshot!("invite_signed_twice", json_of(&signed));
}

#[test]
fn stripped_state() {
    let event = pdu(ALICE, "m.room.name", Some(""), json!({"name": "x"}), &[], &[]);
    assert_json_snapshot!("stripped", stripped(&event));
    let mut told = json_of(&event);
    assert_eq!(parse_stripped(&told), Some(stripped(&event)));
    for (field, wrong) in
        [("sender", json!(1)), ("type", json!(null)), ("state_key", json!("x".repeat(256))), ("content", json!([]))]
    {
        let right = std::mem::replace(&mut told[field], wrong);
        assert_eq!(parse_stripped(&told), None, "{field}");
        told[field] = right;
    }
    assert_eq!(parse_stripped(&json!([])), None);
}

#[test]
fn a_request_signature() {
    let (origin, destination) = (server("part.example"), server(HUB));
    let request = |content| SignedRequest {
        method: "PUT",
        uri: "/_matrix/federation/v2/send/1?x=%22",
        origin: &origin,
        destination: &destination,
        content,
    };
    assert_snapshot!("signed_bytes_without_content", request(None).signed_bytes());
    assert_snapshot!("signed_bytes_with_content", request(Some("{\"pdus\":[]}")).signed_bytes());
    let header = sign_request(&request(Some("{\"pdus\":[]}")), &key_of("part.example"));
    assert_snapshot!("authorization_header", header.to_header());
}

#[test]
fn published_keys() {
    let second = SigningKey::from_seed(KeyId::parse("ed25519:2").unwrap(), &[2; 32]);
    let old = OldKey { key: key_of("old").verify_key(), expired_ts: 1_600_000_000_000 };
    let old = BTreeMap::from([(KeyId::parse("ed25519:0").unwrap(), old)]);
    let keys = publish(&server(HUB), 1_700_000_000_000, true, &[key_of(HUB), second], &old);
    assert_json_snapshot!("server_keys", keys);
    let alone = publish(&server(HUB), 1_700_000_000_000, false, &[key_of(HUB)], &BTreeMap::new());
    assert_json_snapshot!("notary_response", KeyQueryResponse { server_keys: vec![alone] });
    let criteria = |ts| BTreeMap::from([("ed25519:1".to_owned(), KeyCriteria { minimum_valid_until_ts: ts })]);
    let query = KeyQuery {
        server_keys: [(server(HUB), criteria(Some(5))), (server("b"), criteria(None)), (server("c"), BTreeMap::new())]
            .into(),
    };
    assert_json_snapshot!("notary_query", query);
}

#[test]
fn errors() {
    assert_json_snapshot!("error", MatrixError::forbidden("You are not invited."));
    assert_json_snapshot!("error_limit", MatrixError::limit_exceeded(1500));
    let error = MatrixError::unrecognized("No such endpoint.");
    assert_eq!((error.status, error.to_string()), (404, "404 M_UNRECOGNIZED: No such endpoint.".into()));
}
