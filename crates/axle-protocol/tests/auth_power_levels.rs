//! Rule 9 of "Auth Rules Algorithm": changes of power levels.
#![allow(clippy::unwrap_used)]

mod common;

use axle_protocol::Event;
use axle_protocol::auth::{self, AuthError, AuthState};
use common::*;
use serde_json::{Value, json};

/// Whether BOB of level 50 may go from these levels to those.
fn change(from: Value, to: Value) -> Result<(), AuthError> {
    let mut room = Room::new();
    room.force_membership(BOB, "join");
    room.force(ALICE, "m.room.power_levels", Some(""), from);
    room.check(BOB, "m.room.power_levels", Some(""), to)
}

const LEVELS: [&str; 7] = ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"];

#[test]
fn the_first_event_is_free_of_the_sender_but_not_of_form() {
    allowed(Room::new().check(ALICE, "m.room.power_levels", Some(""), json!({"users": {ALICE: 1000}, "ban": 500})));
    denied(Room::new().check(ALICE, "m.room.power_levels", Some(""), json!({"ban": "50"})), "not an integer");
}

#[test]
fn levels_are_integers() {
    let room = Room::new();
    for name in LEVELS {
        for wrong in [json!("50"), json!(true), json!(null), json!([50]), json!({}), json!("")] {
            let check = room.check(ALICE, "m.room.power_levels", Some(""), json!({name: wrong}));
            denied(check, "not an integer");
        }
        allowed(room.check(ALICE, "m.room.power_levels", Some(""), json!({name: -7})));
    }
}

/// What this server does not create but may receive.
#[test]
fn integers_are_judged_by_their_canonical_form() {
    let level = |number: &str| {
        let template = template(ALICE, "m.room.power_levels", Some(""), json!({"ban": 77_777}));
        let event = template.into_pdu(VERSION, &[], &[], &server(HUB), &key_of(HUB)).unwrap();
        let event = Event::parse(event.json().replace("77777", number).as_bytes(), VERSION).unwrap();
        let mut state = Room::new().state;
        let result = auth::check(&event, &state);
        state.apply(&event);
        result.map(|()| state.power_levels().unwrap().1.ban())
    };
    assert_eq!(level("50.0"), Ok(50));
    assert_eq!(level("5e1"), Ok(50));
    assert_eq!(level("-0.0"), Ok(0));
    assert_eq!(level("9007199254740991"), Ok(9_007_199_254_740_991));
    for no_integer in ["50.5", "9007199254740992", "1e16", "-9007199254740992", "18446744073709551615"] {
        denied(level(no_integer).map(|_| ()), "not an integer");
    }
}

#[test]
fn maps_are_maps_of_integers() {
    let room = Room::new();
    for name in ["events", "users"] {
        for wrong in [json!([]), json!("x"), json!(1), json!(null)] {
            denied(room.check(ALICE, "m.room.power_levels", Some(""), json!({name: wrong})), "not an object");
        }
        for wrong in [json!("1"), json!(null), json!(false), json!({})] {
            let check = room.check(ALICE, "m.room.power_levels", Some(""), json!({name: {BOB: wrong}}));
            denied(check, "other than integers");
        }
    }
    for user in ["bob", "@bob", "@Bob:part.example", "@bob:", ""] {
        let check = room.check(ALICE, "m.room.power_levels", Some(""), json!({"users": {user: 1}}));
        denied(check, "user ids");
    }
    // Not one of the fields that the rules know.
    allowed(room.check(ALICE, "m.room.power_levels", Some(""), json!({"notifications": {"room": "x"}})));
}

#[test]
fn single_levels_up_to_ones_own() {
    // From, to: None is absent.
    let table = [
        (Some(50), Some(0), true),
        (Some(0), Some(50), true),
        (Some(51), Some(50), false),
        (Some(50), Some(51), false),
        (Some(60), Some(60), true),
        (None, Some(50), true),
        (None, Some(51), false),
        (Some(50), None, true),
        (Some(51), None, false),
    ];
    for name in LEVELS {
        for (from, to, may) in table {
            let content = |level: Option<i64>| {
                let mut content = json!({"users": {BOB: 50}, "events": {"m.room.power_levels": 0}});
                if let Some(level) = level {
                    content[name] = level.into();
                }
                content
            };
            assert_eq!(change(content(from), content(to)).is_ok(), may, "{name} {from:?} -> {to:?}");
        }
    }
}

/// A level that is not given is its default, for who adds it and for who removes it.
#[test]
fn an_absent_level_is_its_default() {
    let defaults = [0, 0, 50, 50, 50, 50, 0];
    for (name, default) in LEVELS.into_iter().zip(defaults) {
        for (own, may) in [(default - 1, false), (default, true)] {
            let absent = json!({"users": {BOB: own}, "events": {"m.room.power_levels": own}});
            let mut given = absent.clone();
            given[name] = own.into();
            assert_eq!(change(absent.clone(), given.clone()).is_ok(), may, "{name} added by {own}");
            assert_eq!(change(given, absent.clone()).is_ok(), may, "{name} removed by {own}");
            allowed(change(absent.clone(), absent));
        }
    }
}

#[test]
fn event_levels_up_to_ones_own() {
    let table = [
        (json!({"x": 50}), json!({"x": 0}), true),
        (json!({"x": 51}), json!({"x": 0}), false),
        (json!({"x": 0}), json!({"x": 50}), true),
        (json!({"x": 0}), json!({"x": 51}), false),
        (json!({}), json!({"x": 50}), true),
        (json!({}), json!({"x": 51}), false),
        (json!({"x": 50}), json!({}), true),
        (json!({"x": 51}), json!({}), false),
        (json!({"x": 90}), json!({"x": 90}), true),
    ];
    for (from, to, may) in table {
        let content = |mut events: Value| {
            events["m.room.power_levels"] = 0.into();
            json!({"users": {BOB: 50}, "events": events})
        };
        assert_eq!(change(content(from.clone()), content(to.clone())).is_ok(), may, "{from} -> {to}");
    }
    // The whole map removed is each of its entries removed.
    let whole = json!({"users": {BOB: 50}, "state_default": 0, "events": {"x": 51}});
    denied(change(whole, json!({"users": {BOB: 50}, "state_default": 0})), "level 51");
}

#[test]
fn user_levels_up_to_ones_own() {
    let table = [
        // Another user.
        (json!({CAROL: 49}), json!({CAROL: 50}), true),
        (json!({CAROL: 50}), json!({CAROL: 0}), true),
        (json!({CAROL: 51}), json!({CAROL: 50}), false),
        (json!({CAROL: 0}), json!({CAROL: 51}), false),
        (json!({}), json!({CAROL: 50}), true),
        (json!({}), json!({CAROL: 51}), false),
        (json!({CAROL: 50}), json!({}), true),
        (json!({CAROL: 51}), json!({}), false),
        (json!({CAROL: 99}), json!({CAROL: 99}), true),
    ];
    for (from, to, may) in table {
        let content = |mut users: Value| {
            users[BOB] = 50.into();
            json!({"users": users, "state_default": 0})
        };
        assert_eq!(change(content(from.clone()), content(to.clone())).is_ok(), may, "{from} -> {to}");
    }
}

#[test]
fn ones_own_level_only_goes_down() {
    let own = |level: Option<i64>| match level {
        Some(level) => json!({"users": {BOB: level}, "state_default": 0}),
        None => json!({"users": {}, "state_default": 0}),
    };
    allowed(change(own(Some(50)), own(Some(49))));
    allowed(change(own(Some(50)), own(None)));
    denied(change(own(Some(50)), own(Some(51))), "level 51");
    denied(change(own(None), own(Some(1))), "level 1");
    // The whole map removed takes others' levels too.
    let with_admin = json!({"users": {BOB: 50, CAROL: 100}, "state_default": 0});
    denied(change(with_admin, json!({"state_default": 0})), "level 100");
}

#[test]
fn sending_it_needs_its_own_level_first() {
    denied(change(json!({"users": {BOB: 49}}), json!({"users": {BOB: 49}})), "sending m.room.power_levels");
    allowed(change(json!({"users": {BOB: 50}}), json!({"users": {BOB: 50}})));
}
