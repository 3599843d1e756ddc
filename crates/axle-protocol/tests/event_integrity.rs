//! Building, completing, redacting; and that no change of an event goes unnoticed.
#![allow(clippy::unwrap_used)]

mod common;

use axle_protocol::event::{BuildError, EventError, Template, redact_content};
use axle_protocol::limits::MAX_EVENT_BYTES;
use axle_protocol::signing::{KeyMap, SignatureStatus};
use axle_protocol::{Event, EventId, EventKind, KeyId, SigningKey};
use common::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn ids(names: &[&str]) -> Vec<EventId> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn completed(lpdu: &Event) -> Event {
    lpdu.complete(&ids(&["$create", "$levels", "$member"]), &ids(&["$head"]), &server(HUB), &key_of(HUB)).unwrap()
}

fn statuses(event: &Event, keys: &KeyMap) -> Vec<(String, SignatureStatus)> {
    event.verify(keys).signatures.into_iter().map(|(needed, status)| (needed.server.to_string(), status)).collect()
}

fn reparsed(event: &Event, change: impl FnOnce(&mut Map<String, Value>)) -> Event {
    let mut object = serde_json::from_str(event.json()).unwrap();
    change(&mut object);
    Event::parse(Value::Object(object).to_string().as_bytes(), VERSION).unwrap()
}

#[test]
fn who_must_sign_what() {
    let needed = |event: &Event| -> Vec<(String, EventKind)> {
        event.required_signatures().into_iter().map(|needed| (needed.server.to_string(), needed.form)).collect()
    };
    let lpdu = lpdu(BOB, "m.room.message", None, json!({}));
    assert_eq!(needed(&lpdu), [("part.example".into(), EventKind::Lpdu)]);
    assert_eq!(
        needed(&completed(&lpdu)),
        [("part.example".into(), EventKind::Lpdu), ("hub.example".into(), EventKind::Pdu)]
    );
    let own = pdu(ALICE, "m.room.message", None, json!({}), &[], &[]);
    assert_eq!(needed(&own), [("hub.example".into(), EventKind::Pdu)]);
    // One signature a server name cannot cover both forms.
    let through_itself = completed(&lpdu_of_the_hub());
    assert_eq!(needed(&through_itself), [("hub.example".into(), EventKind::Pdu)]);
    assert!(through_itself.verify(&keys()).is_valid());
}

/// What our hub does not make, but another may: its own user's event with `hub_server`.
fn lpdu_of_the_hub() -> Event {
    lpdu(ALICE, "m.room.message", None, json!({}))
}

#[test]
fn each_needed_signature_is_told() {
    let event = completed(&lpdu(BOB, "m.room.message", None, json!({})));
    let told =
        |event: &Event, keys: &KeyMap| statuses(event, keys).into_iter().map(|(_, status)| status).collect::<Vec<_>>();
    use SignatureStatus::{Bad, Missing, Ok, UnknownKey};
    assert_eq!(told(&event, &keys()), [Ok, Ok]);
    assert_eq!(told(&event, &KeyMap::default()), [UnknownKey, UnknownKey]);
    let mut wrong = keys();
    wrong.insert(server(HUB), KeyId::parse("ed25519:1").unwrap(), key_of("other").verify_key());
    assert_eq!(told(&event, &wrong), [Ok, Bad]);
    let without = |who: &str| reparsed(&event, |event| drop(event["signatures"].as_object_mut().unwrap().remove(who)));
    assert_eq!(told(&without("hub.example"), &keys()), [Ok, Missing]);
    assert_eq!(told(&without("part.example"), &keys()), [Missing, Ok]);
    for junk in ["", "AAAA", "not base64!", &"A".repeat(86)] {
        let event = reparsed(&event, |event| event["signatures"]["hub.example"]["ed25519:1"] = json!(junk));
        assert_eq!(told(&event, &keys()), [Ok, Bad]);
        assert!(!event.verify(&keys()).is_valid());
    }
    let event_with_unknown = reparsed(&event, |event| {
        event["signatures"]["hub.example"] = json!({"ed25519:1": "AAAA", "ed25519:unknown": "AAAA"});
    });
    assert_eq!(told(&event_with_unknown, &keys()), [Ok, Bad]);
    // Signatures of others count for nothing, good or bad.
    let event = reparsed(&event, |event| event["signatures"]["third.example"] = json!({"ed25519:1": "junk"}));
    assert!(event.verify(&keys()).is_valid());
    // One good signature of a server is enough, and a key id that is none is passed over.
    let event = reparsed(&event, |event| {
        event["signatures"]["hub.example"]["ed25519:0"] = json!("junk");
        event["signatures"]["hub.example"]["curve25519:0"] = json!("junk");
    });
    assert_eq!(told(&event, &keys()), [Ok, Ok]);
}

#[test]
fn the_signatures_that_are_tried_are_bounded() {
    let mut keys = keys();
    let event = reparsed(&lpdu(BOB, "m.room.message", None, json!({})), |event| {
        for i in 0..100 {
            let id = format!("ed25519:0{i:03}");
            keys.insert(server("part.example"), KeyId::parse(&id).unwrap(), key_of("part.example").verify_key());
            event["signatures"]["part.example"][&id] = json!("A".repeat(86));
        }
    });
    assert_eq!(statuses(&event, &keys)[0].1, SignatureStatus::Bad);
}

#[test]
fn completing_drops_signatures_that_nothing_vouches_for() {
    let lpdu = reparsed(&lpdu(BOB, "m.room.message", None, json!({})), |event| {
        event["signatures"]["hub.example"] = json!({"ed25519:old": "forged", "ed25519:1": "forged"});
        event["signatures"]["third.example"] = json!({"ed25519:1": "forged"});
    });
    let event = completed(&lpdu);
    assert!(event.verify(&keys()).is_valid());
    assert_eq!(event.signers().collect::<Vec<_>>(), ["hub.example", "part.example"]);
    assert_eq!(event.signing_keys(HUB).collect::<Vec<_>>(), ["ed25519:1"]);
    let second_key = SigningKey::from_seed(KeyId::parse("ed25519:2").unwrap(), &[3; 32]);
    let own = completed(&lpdu_of_the_hub().signed_by(&server(HUB), &second_key).unwrap());
    assert_eq!(own.signing_keys(HUB).collect::<Vec<_>>(), ["ed25519:1"]);
}

#[test]
fn what_a_hub_adds_counts_towards_the_size() {
    let complete = |length: usize| {
        let lpdu = lpdu(BOB, "m.room.message", None, json!({"body": "x".repeat(length)}));
        lpdu.complete(&ids(&["$create"]), &ids(&["$head"]), &server(HUB), &key_of(HUB))
    };
    let fits = MAX_EVENT_BYTES - complete(0).unwrap().canonical_json().len();
    assert_eq!(complete(fits).unwrap().canonical_json().len(), MAX_EVENT_BYTES);
    assert_eq!(complete(fits + 1), Err(BuildError::Event(EventError::TooLarge)));
}

#[test]
fn only_an_lpdu_for_this_hub_is_completed() {
    let lpdu = lpdu(BOB, "m.room.message", None, json!({}));
    let complete = |event: &Event, hub: &str| event.complete(&[], &ids(&["$head"]), &server(hub), &key_of(hub));
    assert_eq!(complete(&completed(&lpdu), HUB), Err(BuildError::NotAnLpdu));
    assert_eq!(complete(&lpdu, "third.example"), Err(BuildError::OtherHub));
    let many: Vec<EventId> = (0..30).map(|i| format!("$e{i}").parse().unwrap()).collect();
    lpdu.complete(&many, &[], &server(HUB), &key_of(HUB)).unwrap_err();
    lpdu.complete(&[], &many, &server(HUB), &key_of(HUB)).unwrap_err();
}

#[test]
fn completing_does_not_depend_on_how_the_lpdu_was_written() {
    let lpdu = lpdu(BOB, "m.room.name", Some(""), json!({"name": "é😀", "n": [1, null, true]}));
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(lpdu.json()).unwrap()).unwrap();
    let other = Event::parse(pretty.as_bytes(), VERSION).unwrap();
    assert_ne!(other.json(), lpdu.json());
    assert_eq!(completed(&other), completed(&lpdu));
    assert_eq!(completed(&other).json(), completed(&other).canonical_json());
}

#[test]
fn another_signature_changes_nothing_else() {
    let invite = pdu(ALICE, "m.room.member", Some(CAROL), json!({"membership": "invite"}), &[], &ids(&["$head"]));
    let signed = invite.signed_by(&server("third.example"), &key_of("third.example")).unwrap();
    assert_eq!(signed.event_id(), invite.event_id());
    assert!(signed.verify(&keys()).is_valid());
    assert_eq!(signed.signers().collect::<Vec<_>>(), [HUB, "third.example"]);
    let hub_again = SigningKey::from_seed(KeyId::parse("ed25519:2").unwrap(), &[3; 32]);
    let twice = signed.signed_by(&server(HUB), &hub_again).unwrap();
    assert_eq!(twice.signing_keys(HUB).collect::<Vec<_>>(), ["ed25519:1", "ed25519:2"]);
    assert!(twice.verify(&keys()).is_valid());
}

#[test]
fn what_redaction_keeps() {
    let table = [
        ("m.room.create", json!({"room_version": "I.1", "x": 1}), json!({"room_version": "I.1", "x": 1})),
        (
            "m.room.member",
            json!({"membership": "join", "reason": "x", "displayname": "y"}),
            json!({"membership": "join"}),
        ),
        ("m.room.join_rules", json!({"join_rule": "public", "allow": []}), json!({"join_rule": "public"})),
        (
            "m.room.power_levels",
            json!({
                "ban": 1, "events": {"a": 1}, "events_default": 2, "kick": 3, "redact": 4, "state_default": 5,
                "users": {BOB: 6}, "users_default": 7, "invite": 8, "notifications": {"room": 9}
            }),
            json!({
                "ban": 1, "events": {"a": 1}, "events_default": 2, "kick": 3, "redact": 4, "state_default": 5,
                "users": {BOB: 6}, "users_default": 7, "invite": 8
            }),
        ),
        (
            "m.room.history_visibility",
            json!({"history_visibility": "shared", "x": 1}),
            json!({"history_visibility": "shared"}),
        ),
        ("m.room.message", json!({"body": "x"}), json!({})),
        ("m.room.redaction", json!({"redacts": "$x"}), json!({})),
        ("m.room.aliases", json!({"aliases": []}), json!({})),
        ("m.room.member", json!({}), json!({})),
    ];
    for (event_type, content, kept) in table {
        assert_eq!(json!(redact_content(event_type, content.as_object().unwrap())), kept, "{event_type}");
        let event = completed(&lpdu(BOB, event_type, Some(""), content.clone()));
        let event = reparsed(&event, |event| drop(event.insert("unsigned".into(), json!({"age": 1}))));
        let redacted = event.redacted();
        assert_eq!(json!(redacted.content()), kept);
        assert_eq!(redacted.event_id(), event.event_id());
        assert!(redacted.verify(&keys()).is_signed());
        let stored = Event::parse(redacted.json().as_bytes(), VERSION).unwrap();
        assert_eq!(stored, redacted);
        assert_eq!((stored.event_id(), stored.content()), (event.event_id(), redacted.content()));
        assert!(!redacted.json().contains("unsigned"));
        assert_eq!(redacted.redacted(), redacted);
        let lpdu = lpdu(BOB, event_type, Some(""), content);
        assert_eq!(lpdu.redacted().event_id(), lpdu.event_id());
    }
}

#[test]
fn changed_content_is_told_from_a_changed_core() {
    let event = completed(&lpdu(BOB, "m.room.message", None, json!({"body": "yes"})));
    let content = reparsed(&event, |event| event["content"]["body"] = json!("no")).verify(&keys());
    assert!(content.is_signed() && !content.hashes.all_match() && !content.is_valid());
    assert_eq!((content.hashes.lpdu, content.hashes.content), (Some(false), Some(false)));
    // Any other field is covered too, also `unsigned`.
    let more = reparsed(&event, |event| drop(event.insert("unsigned".into(), json!({})))).verify(&keys());
    assert!(more.is_signed());
    assert_eq!((more.hashes.lpdu, more.hashes.content), (Some(false), Some(false)));
    let parents = reparsed(&event, |event| event["prev_events"] = json!(["$other"])).verify(&keys());
    assert_eq!((parents.hashes.lpdu, parents.hashes.content), (Some(true), Some(false)));
    assert_eq!(parents.signatures[0].1, SignatureStatus::Ok);
    assert_eq!(parents.signatures[1].1, SignatureStatus::Bad);
    let hub = reparsed(&event, |event| event["hub_server"] = json!("third.example")).verify(&keys());
    assert!(!hub.is_signed());
}

#[test]
fn redactions_name_what_they_redact() {
    let redaction = |content| lpdu(BOB, "m.room.redaction", None, content).redacts();
    assert_eq!(redaction(json!({"redacts": "$x"})), Some("$x".parse().unwrap()));
    for none in [json!({}), json!({"redacts": 1}), json!({"redacts": "x"}), json!({"redacts": "$"})] {
        assert_eq!(redaction(none), None);
    }
    assert_eq!(lpdu(BOB, "m.room.message", None, json!({"redacts": "$x"})).redacts(), None);
}

fn any_template() -> impl Strategy<Value = Template> {
    let name = prop_oneof!["[a-z.]{0,20}", "\\PC{0,20}"];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    let types = ["m.room.message", "m.room.create", "m.room.member", "m.room.power_levels", "m.room.join_rules"];
    let event_type = prop_oneof![name.clone(), proptest::sample::select(types.to_vec()).prop_map(String::from)];
    let content = prop::collection::btree_map(prop_oneof![any::<String>(), Just("membership".into())], value, 0..5);
    (event_type, prop::option::of(name), content, 0..1_i64 << 53).prop_map(|(event_type, state_key, content, ts)| {
        Template { origin_server_ts: ts, ..template(BOB, &event_type, state_key.as_deref(), json!(content)) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn what_is_built_is_valid_at_every_step(template in any_template()) {
        let part = server("part.example");
        let lpdu = template.clone().into_lpdu(VERSION, &server(HUB), &part, &key_of(part.as_str())).unwrap();
        prop_assert_eq!(lpdu.content(), &template.content);
        prop_assert_eq!(lpdu.event_type(), template.event_type);
        prop_assert_eq!(lpdu.state_key(), template.state_key.as_deref());
        prop_assert_eq!(lpdu.origin_server_ts(), template.origin_server_ts);
        let pdu = completed(&lpdu);
        for event in [&lpdu, &pdu] {
            prop_assert!(event.verify(&keys()).is_valid());
            let parsed = Event::parse(event.json().as_bytes(), VERSION).unwrap();
            prop_assert_eq!(&parsed, event);
            prop_assert_eq!(parsed.event_id(), event.event_id());
            prop_assert_eq!(parsed.auth_events(), event.auth_events());
            prop_assert_eq!(parsed.prev_events(), event.prev_events());
            prop_assert_eq!((parsed.lpdu_hash(), parsed.content_hash()), (event.lpdu_hash(), event.content_hash()));
            prop_assert!(parsed.verify(&keys()).is_valid());
            let redacted = event.redacted();
            prop_assert_eq!(redacted.event_id(), event.event_id());
        }
        prop_assert_eq!(lpdu.lpdu_hash(), pdu.lpdu_hash());
        prop_assert_eq!(pdu.computed_lpdu_hash(), *lpdu.lpdu_hash().unwrap());
        prop_assert_eq!(pdu.redacted_lpdu_input(), lpdu.redacted_lpdu_input());
    }

    /// Any bit flipped: no event any more, or one that is not valid, or the same event written differently.
    #[test]
    fn no_flipped_bit_goes_unnoticed(template in any_template(), position in any::<prop::sample::Index>(), bit in 0..8u32) {
        let part = server("part.example");
        let lpdu = template.into_lpdu(VERSION, &server(HUB), &part, &key_of(part.as_str())).unwrap();
        for event in [completed(&lpdu), lpdu] {
            let mut bytes = event.json().as_bytes().to_vec();
            let position = position.index(bytes.len());
            bytes[position] ^= 1u8 << bit;
            let Ok(changed) = Event::parse(&bytes, VERSION) else { continue };
            if changed.verify(&keys()).is_valid() {
                // Base64 has bits that mean nothing, in the last character of a signature.
                prop_assert_eq!(changed.event_id(), event.event_id());
                prop_assert_eq!(changed.content_hash_input(), event.content_hash_input());
            }
        }
    }
}
