//! Which bytes are an event: fields, grammars, sizes, hostile input.
#![allow(clippy::unwrap_used)]

mod common;

use axle_protocol::event::EventError;
use axle_protocol::limits::{
    MAX_AUTH_EVENTS, MAX_EVENT_BYTES, MAX_EVENT_JSON_BYTES, MAX_ID_BYTES, MAX_JSON_DEPTH, MAX_PREV_EVENTS,
};
use axle_protocol::{Event, EventKind};
use common::*;
use serde_json::{Value, json};

fn parse(value: &Value) -> Result<Event, EventError> {
    Event::parse(value.to_string().as_bytes(), VERSION)
}

/// A PDU made from an LPDU, so that every field is there.
fn full() -> Value {
    let event =
        pdu(BOB, "m.room.topic", Some(""), json!({"topic": "x"}), &["$a".parse().unwrap()], &["$p".parse().unwrap()]);
    serde_json::from_str(event.json()).unwrap()
}

fn partial() -> Value {
    serde_json::from_str(lpdu(BOB, "m.room.message", None, json!({"body": "x"})).json()).unwrap()
}

#[track_caller]
fn refused(value: &Value, because: &str) {
    let error = parse(value).unwrap_err().to_string();
    assert!(error.contains(because), "refused because {error:?}, not {because:?}");
}

/// The full event with one field set, or taken away.
fn with(field: &str, value: Option<Value>) -> Value {
    changed(full(), field, value)
}

fn changed(mut event: Value, field: &str, value: Option<Value>) -> Value {
    let object = event.as_object_mut().unwrap();
    match value {
        Some(value) => object.insert(field.into(), value),
        None => object.remove(field),
    };
    event
}

#[test]
fn the_full_event_is_one() {
    let event = parse(&full()).unwrap();
    assert_eq!(event.kind(), EventKind::Pdu);
    assert_eq!(event.version(), VERSION);
    assert_eq!((event.room_id().as_str(), event.sender().as_str()), (ROOM, BOB));
    assert_eq!((event.event_type(), event.state_key(), event.is_state()), ("m.room.topic", Some(""), true));
    assert_eq!(event.hub_server().unwrap().as_str(), HUB);
    assert_eq!(event.auth_events(), ["$a".parse().unwrap()]);
    assert_eq!(event.prev_events(), ["$p".parse().unwrap()]);
    assert_eq!(event.signers().collect::<Vec<_>>(), ["hub.example", "part.example"]);
    assert_eq!(event.signing_keys("hub.example").collect::<Vec<_>>(), ["ed25519:1"]);
    assert_eq!(event.signing_keys("other.example").count(), 0);
    assert!(event.lpdu_hash().is_some() && event.content_hash().is_some());
    assert_eq!((event.membership(), event.redacts()), (None, None));
    assert_eq!(parse(&partial()).unwrap().kind(), EventKind::Lpdu);
}

#[test]
fn required_fields() {
    for field in ["room_id", "sender", "type", "origin_server_ts", "content", "hashes", "signatures"] {
        refused(&with(field, None), "is missing");
        refused(&with(field, None), field);
    }
    refused(&with("auth_events", None), "\"auth_events\" is missing");
    refused(&with("prev_events", None), "\"prev_events\" is missing");
    parse(&with("state_key", None)).unwrap();
}

#[test]
fn fields_of_the_wrong_kind() {
    let table = [
        ("room_id", vec![json!(1), json!(null), json!([])]),
        ("sender", vec![json!(1), json!(null), json!({})]),
        ("type", vec![json!(1), json!(null), json!(["m.room.message"])]),
        ("state_key", vec![json!(1), json!(null), json!(false)]),
        ("hub_server", vec![json!(1), json!(null), json!({})]),
        ("content", vec![json!(1), json!(null), json!([]), json!("{}")]),
        ("hashes", vec![json!(1), json!(null), json!([]), json!("x")]),
        ("signatures", vec![json!(1), json!(null), json!([]), json!({"a": 1}), json!({"a": {"ed25519:1": 1}})]),
        ("auth_events", vec![json!(1), json!(null), json!({}), json!(["x"]), json!([1]), json!([null]), json!(["$"])]),
        ("prev_events", vec![json!(1), json!(null), json!("$x"), json!([["$x"]]), json!(["$a b"]), json!([""])]),
        ("origin_server_ts", vec![json!("1"), json!(null), json!(1.5), json!(-1), json!(u64::MAX), json!(1e300)]),
    ];
    for (field, values) in table {
        for value in values {
            let error = parse(&with(field, Some(value.clone()))).unwrap_err().to_string();
            assert!(error.contains(field), "{field} {value}: {error}");
        }
    }
}

#[test]
fn identifiers_follow_their_grammars() {
    for user in
        ["bob", "@bob", "@:part.example", "@Bob:part.example", "@bob:", "@bob:a b", "@b b:part.example", "@bob:1.2.3.4"]
    {
        refused(&with("sender", Some(json!(user))), "sender");
    }
    for room in ["room", "!room", "!:hub.example", "!r m:hub.example", "!room:", "!room:[::1]", "#room:hub.example"] {
        refused(&with("room_id", Some(json!(room))), "room_id");
    }
    for hub in
        ["", "a b", "hub.example/", "hub.example:", "hub.example:123456", "hub.example:65536", "127.0.0.1", "é.example"]
    {
        refused(&with("hub_server", Some(json!(hub))), "hub_server");
    }
}

#[test]
fn a_time_is_any_number_that_is_an_integer() {
    let mut text = full().to_string();
    let exact = parse(&full()).unwrap();
    text = text.replace("1700000000000", "1.7e12");
    let event = Event::parse(text.as_bytes(), VERSION).unwrap();
    assert_eq!(event.origin_server_ts(), 1_700_000_000_000);
    assert_eq!(event.event_id(), exact.event_id());
    assert_eq!(event.json(), text);
    assert_eq!(event.canonical_json(), exact.json());
}

#[test]
fn hashes_belong_to_the_kind() {
    let hash = "QDc1XFt84ksGCKbA7j6sCI2Kcl4QKvSbXZYfbczMhUU";
    let lpdu_hash = json!({"lpdu": {"sha256": hash}});
    refused(&with("hashes", Some(json!({"sha256": hash}))), "hashes.lpdu");
    refused(&with("hashes", Some(lpdu_hash.clone())), "hashes.sha256");
    refused(&with("hub_server", None), "hub_server");
    parse(&changed(with("hub_server", None), "hashes", Some(json!({"sha256": hash})))).unwrap();
    refused(&changed(partial(), "hashes", Some(json!({"sha256": hash}))), "hashes.lpdu");
    refused(&changed(partial(), "hashes", Some(json!({"sha256": hash, "lpdu": {"sha256": hash}}))), "only lpdu");
    parse(&changed(partial(), "hashes", Some(lpdu_hash))).unwrap();
    refused(&changed(partial(), "hub_server", None), "hub_server");
    for wrong in [
        json!(1),
        json!(""),
        json!("x"),
        json!("QDc1"),
        json!(format!("{hash}AAAA")),
        json!(null),
        json!("*".repeat(43)),
    ] {
        refused(&changed(partial(), "hashes", Some(json!({"lpdu": {"sha256": wrong.clone()}}))), "lpdu.sha256");
        refused(&with("hashes", Some(json!({"lpdu": {"sha256": hash}, "sha256": wrong}))), "hashes.sha256");
    }
    for wrong in [json!(1), json!(null), json!([])] {
        refused(&changed(partial(), "hashes", Some(json!({"lpdu": wrong}))), "hashes.lpdu");
    }
    // Padded base64 is read too.
    parse(&changed(partial(), "hashes", Some(json!({"lpdu": {"sha256": format!("{hash}=")}})))).unwrap();
}

#[test]
fn lists_are_bounded() {
    let ids = |n: usize| Some(json!((0..n).map(|i| format!("$e{i}")).collect::<Vec<_>>()));
    for (field, most) in [("auth_events", MAX_AUTH_EVENTS), ("prev_events", MAX_PREV_EVENTS)] {
        parse(&with(field, ids(most))).unwrap();
        refused(&with(field, ids(most + 1)), "more than");
    }
}

#[test]
fn types_and_state_keys_have_255_characters_at_most() {
    for field in ["type", "state_key"] {
        for char in ["a", "é", "😀"] {
            parse(&with(field, Some(json!(char.repeat(MAX_ID_BYTES))))).unwrap();
            refused(&with(field, Some(json!(char.repeat(MAX_ID_BYTES + 1)))), "longer than");
        }
    }
    for (sigil, field, rest) in [("@", "sender", ":part.example"), ("!", "room_id", ":hub.example")] {
        let id = |length: usize| Some(json!(format!("{sigil}{}{rest}", "a".repeat(length - 1 - rest.len()))));
        parse(&with(field, id(MAX_ID_BYTES))).unwrap();
        refused(&with(field, id(MAX_ID_BYTES + 1)), field);
    }
}

/// An event whose canonical form has exactly this many bytes.
fn of_size(size: usize, filler: &str) -> Value {
    let mut event = full();
    event["content"] = json!({"body": ""});
    let room = size - parse(&event).unwrap().canonical_json().len();
    event["content"]["body"] =
        json!(format!("{}{}", filler.repeat(room / filler.len()), "x".repeat(room % filler.len())));
    event
}

#[test]
fn the_size_limit_is_of_the_canonical_form() {
    for filler in ["x", "é", "日"] {
        let largest = parse(&of_size(MAX_EVENT_BYTES, filler)).unwrap();
        assert_eq!(largest.canonical_json().len(), MAX_EVENT_BYTES);
        assert_eq!(parse(&of_size(MAX_EVENT_BYTES + 1, filler)), Err(EventError::TooLarge));
    }
    // Other JSON may be longer, up to a point.
    let largest = of_size(MAX_EVENT_BYTES, "日").to_string();
    let escaped: String = largest.chars().map(|c| if c == '日' { "\\u65e5".into() } else { c.to_string() }).collect();
    assert!(escaped.len() > MAX_EVENT_BYTES);
    let event = Event::parse(escaped.as_bytes(), VERSION).unwrap();
    assert_eq!(event.json(), escaped);
    let spaces = MAX_EVENT_JSON_BYTES - largest.len();
    Event::parse(format!("{largest}{}", " ".repeat(spaces)).as_bytes(), VERSION).unwrap();
    let too_many = format!("{largest}{}", " ".repeat(spaces + 1));
    assert_eq!(Event::parse(too_many.as_bytes(), VERSION), Err(EventError::TooLarge));
}

#[test]
fn what_we_make_has_the_limits_too() {
    let hub = (server(HUB), key_of(HUB));
    let pdu = |template: axle_protocol::event::Template| template.into_pdu(VERSION, &[], &[], &hub.0, &hub.1);
    let long = "é".repeat(128);
    pdu(template(ALICE, &long, None, json!({}))).unwrap_err();
    pdu(template(ALICE, "x", Some(&long), json!({}))).unwrap_err();
    pdu(template(ALICE, &"é".repeat(127), Some(&"é".repeat(127)), json!({}))).unwrap();
    pdu(template(ALICE, "x", None, json!({"body": "x".repeat(MAX_EVENT_BYTES)}))).unwrap_err();
    for number in [json!(0.5), json!(1_u64 << 53), json!(-(1_i64 << 53)), json!(1.0)] {
        pdu(template(ALICE, "x", None, json!({"a": [{"b": number}]}))).unwrap_err();
    }
    let nested = (0..MAX_JSON_DEPTH).fold(json!(1), |inner, _| json!([inner]));
    pdu(template(ALICE, "x", None, json!({"a": nested}))).unwrap_err();
}

#[test]
fn an_lpdu_that_grows_too_large_is_not_completed() {
    let largest_lpdu = {
        let empty = lpdu(BOB, "m.room.message", None, json!({"body": ""})).json().len();
        lpdu(BOB, "m.room.message", None, json!({"body": "x".repeat(MAX_EVENT_BYTES - empty)}))
    };
    assert_eq!(largest_lpdu.json().len(), MAX_EVENT_BYTES);
    largest_lpdu.complete(&[], &[], &server(HUB), &key_of(HUB)).unwrap_err();
}

#[test]
fn hostile_bytes() {
    let text = full().to_string();
    for bytes in [
        String::new(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        "\"event\"".into(),
        format!("[{text}]"),
        format!("{text}{text}"),
        text.replacen('{', "{\"type\":\"m.room.message\",", 1),
        text.replace("\"topic\":\"x\"", "\"topic\":1e999"),
        text.replace("\"topic\":\"x\"", "\"topic\":\"\\ud800\""),
        text.replace("\"topic\":\"x\"", "\"topic\":\"\u{0}\""),
        text.replace("\"topic\":\"x\"", &format!("\"topic\":{}", "[".repeat(200_000))),
        text.replace("\"topic\":\"x\"", &format!("\"topic\":{}{}", "[".repeat(120), "]".repeat(120))),
    ] {
        assert!(Event::parse(bytes.as_bytes(), VERSION).is_err(), "{}", &bytes[..bytes.len().min(200)]);
    }
    for cut in 0..text.len() {
        assert!(Event::parse(&text.as_bytes()[..cut], VERSION).is_err());
    }
    // NUL is a character like any other once it is escaped.
    let nul = Event::parse(text.replace("\"topic\":\"x\"", "\"topic\":\"\\u0000\"").as_bytes(), VERSION).unwrap();
    assert_eq!(nul.content()["topic"], "\0");
}

#[test]
fn unknown_fields_are_kept_and_covered() {
    let plain = parse(&full()).unwrap();
    let event = parse(&with("org.example", Some(json!({"b": 1, "a": 2})))).unwrap();
    assert!(event.canonical_json().contains("\"org.example\":{\"a\":2,\"b\":1}"));
    assert_eq!(event.event_id(), plain.event_id());
    assert!(plain.check_hashes().all_match());
    let hashes = event.check_hashes();
    assert_eq!((hashes.lpdu, hashes.content), (Some(false), Some(false)));
}
