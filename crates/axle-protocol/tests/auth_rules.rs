//! Every rule of "Auth Rules Algorithm", allowing and denying. Rule 5 is in `auth_membership.rs`, rule 9 in
//! `auth_power_levels.rs`.
#![allow(clippy::unwrap_used)]

mod common;

use axle_protocol::auth::{self, AuthError, AuthState, MapState, may_redact, select, user_level};
use axle_protocol::{Event, EventId, RoomVersion};
use common::*;
use serde_json::{Value, json};

mod rule_3_create {
    use super::*;

    fn check(event: &Event) -> Result<(), AuthError> {
        auth::check(event, &MapState::default())
    }

    fn create(content: Value) -> Event {
        pdu(ALICE, "m.room.create", Some(""), content, &[], &[])
    }

    #[test]
    fn allowed_at_the_start() {
        allowed(check(&create(create_content())));
    }

    #[test]
    fn the_version_must_be_the_rooms_own() {
        denied(check(&create(json!({}))), "room_version");
        denied(check(&create(json!({"room_version": "I.2"}))), "room_version");
        denied(check(&create(json!({"room_version": 1}))), "room_version");
        let unstable = template(ALICE, "m.room.create", Some(""), json!({"room_version": "I.1"}));
        let unstable = unstable.into_pdu(RoomVersion::Unstable02, &[], &[], &server(HUB), &key_of(HUB)).unwrap();
        denied(check(&unstable), "room_version");
        for version in RoomVersion::ALL {
            let template = template(ALICE, "m.room.create", Some(""), json!({"room_version": version.as_str()}));
            allowed(check(&template.into_pdu(version, &[], &[], &server(HUB), &key_of(HUB)).unwrap()));
        }
    }

    #[test]
    fn nothing_may_precede_it() {
        let id = EventId::parse("$x").unwrap();
        let after = pdu(ALICE, "m.room.create", Some(""), create_content(), &[], std::slice::from_ref(&id));
        denied(check(&after), "prev_events");
        let authorised = pdu(ALICE, "m.room.create", Some(""), create_content(), &[id], &[]);
        denied(check(&authorised), "auth_events");
        denied(auth::check(&create(create_content()), &Room::just_created().state), "already");
        // An LPDU has no prev_events that could tell.
        denied(auth::check(&lpdu(BOB, "m.room.create", Some(""), create_content()), &Room::new().state), "already");
    }

    #[test]
    fn the_creator_is_of_the_room_ids_server() {
        let foreign = pdu(BOB, "m.room.create", Some(""), create_content(), &[], &[]);
        denied(check(&foreign), "different servers");
    }

    #[test]
    fn the_state_key_is_empty() {
        denied(check(&pdu(ALICE, "m.room.create", None, create_content(), &[], &[])), "state key");
        denied(check(&pdu(ALICE, "m.room.create", Some("x"), create_content(), &[], &[])), "state key");
    }

    #[test]
    fn nothing_else_starts_a_room() {
        denied(check(&pdu(ALICE, "m.room.message", None, json!({}), &[], &[])), "no create event");
        let join = pdu(ALICE, "m.room.member", Some(ALICE), json!({"membership": "join"}), &[], &[]);
        denied(check(&join), "no create event");
    }
}

mod rule_4_auth_events {
    use super::*;

    fn unknown(_: &EventId) -> Option<(String, String)> {
        None
    }

    fn message(auth_events: &[EventId]) -> Event {
        pdu(ALICE, "m.room.message", None, json!({}), auth_events, &[])
    }

    fn ids(room: &Room) -> (EventId, EventId, EventId) {
        let state = &room.state;
        let levels = state.power_levels().unwrap().0.clone();
        (state.create().unwrap().event_id.clone(), levels, state.member(ALICE).unwrap().0.clone())
    }

    #[test]
    fn the_selection_itself_is_fine() {
        let room = Room::with_levels(json!({"users": {ALICE: 100}}));
        let (create, levels, alice) = ids(&room);
        allowed(auth::check_auth_events(&message(&[create, levels, alice]), &room.state, &unknown));
    }

    #[test]
    fn the_create_event_must_be_there() {
        let room = Room::with_levels(json!({"users": {ALICE: 100}}));
        let (_, levels, alice) = ids(&room);
        denied(auth::check_auth_events(&message(&[levels, alice]), &room.state, &unknown), "create");
        denied(auth::check_auth_events(&message(&[]), &room.state, &unknown), "create");
    }

    #[test]
    fn no_kind_twice() {
        let room = Room::with_levels(json!({"users": {ALICE: 100}}));
        let (create, levels, _) = ids(&room);
        let twice = message(&[create.clone(), levels.clone(), levels.clone()]);
        denied(auth::check_auth_events(&twice, &room.state, &unknown), "twice");
        let older = EventId::parse("$older-levels").unwrap();
        let both = message(&[create, levels, older.clone()]);
        let resolve = |id: &EventId| (*id == older).then(|| ("m.room.power_levels".into(), String::new()));
        denied(auth::check_auth_events(&both, &room.state, &resolve), "twice");
    }

    #[test]
    fn an_older_event_of_the_right_kind_is_fine() {
        let room = Room::with_levels(json!({"users": {ALICE: 100}}));
        let (create, ..) = ids(&room);
        let older = EventId::parse("$older-levels").unwrap();
        let resolve = |id: &EventId| (*id == older).then(|| ("m.room.power_levels".into(), String::new()));
        allowed(auth::check_auth_events(&message(&[create, older.clone()]), &room.state, &resolve));
    }

    #[test]
    fn other_kinds_and_unknown_events_are_not() {
        let mut room = Room::with_levels(json!({"users": {ALICE: 100}}));
        room.join_rule("public");
        let (create, ..) = ids(&room);
        let name = EventId::parse("$name").unwrap();
        let event = message(&[create.clone(), name]);
        let resolve = |_: &EventId| Some(("m.room.name".into(), String::new()));
        denied(auth::check_auth_events(&event, &room.state, &resolve), "selection");
        denied(auth::check_auth_events(&event, &room.state, &unknown), "not known");
        // Join rules authorise joins and invites only, another user's membership nothing of mine.
        let rules = room.state.join_rule().unwrap().0.clone();
        let resolve = |_: &EventId| Some(("m.room.join_rules".into(), String::new()));
        denied(auth::check_auth_events(&message(&[create.clone(), rules]), &room.state, &resolve), "selection");
        let resolve = |_: &EventId| Some(("m.room.member".into(), BOB.into()));
        denied(auth::check_auth_events(&message(&[create, "$x".parse().unwrap()]), &room.state, &resolve), "selection");
    }

    #[test]
    fn the_selection_has_the_drafts_order_and_nothing_twice() {
        let mut room = Room::with_levels(json!({"users": {ALICE: 100}}));
        room.join_rule("knock");
        room.force_membership(BOB, "knock");
        let (create, levels, alice) = ids(&room);
        let rules = room.state.join_rule().unwrap().0.clone();
        let bob = room.state.member(BOB).unwrap().0.clone();
        let select = |event_type, key, sender, membership| select(event_type, key, sender, membership, &room.state);
        let member = "m.room.member";
        assert_eq!(select("m.room.create", Some(""), ALICE, None), []);
        let basic = [create.clone(), levels.clone(), alice.clone()];
        assert_eq!(select("m.room.message", None, ALICE, None), basic);
        assert_eq!(select(member, Some(ALICE), ALICE, Some("leave")), basic);
        assert_eq!(
            select(member, Some(BOB), ALICE, Some("invite")),
            [create.clone(), levels.clone(), alice.clone(), bob.clone(), rules.clone()]
        );
        assert_eq!(select(member, Some(BOB), BOB, Some("join")), [create.clone(), levels.clone(), bob.clone(), rules]);
        assert_eq!(select(member, Some(BOB), BOB, Some("knock")), [create.clone(), levels.clone(), bob.clone()]);
        assert_eq!(select(member, Some(BOB), ALICE, Some("ban")), [create.clone(), levels.clone(), alice, bob]);
        // The first message of someone who was never here.
        assert_eq!(select("m.room.message", None, CAROL, None), [create, levels]);
    }
}

mod rules_6_to_8 {
    use super::*;

    #[test]
    fn only_members_send() {
        let mut room = Room::new();
        denied(room.check(BOB, "m.room.message", None, json!({})), "not in the room");
        for was in ["leave", "invite", "knock", "ban"] {
            room.force_membership(BOB, was);
            denied(room.check(BOB, "m.room.message", None, json!({})), "not in the room");
        }
        room.force_membership(BOB, "join");
        allowed(room.check(BOB, "m.room.message", None, json!({})));
    }

    #[test]
    fn the_level_of_the_type_or_its_default() {
        let levels = json!({
            "events": {"m.room.name": 20, "m.reaction": 30, "low": -5}, "events_default": 10, "state_default": 40,
            "users": {ALICE: 100}
        });
        let mut room = Room::with_levels(levels);
        room.force_membership(BOB, "join");
        let table = [
            ("m.room.name", Some(""), 20),
            ("m.room.name", None, 20),
            ("m.reaction", None, 30),
            ("m.reaction", Some("x"), 30),
            ("low", Some(""), -5),
            ("m.room.message", None, 10),
            ("m.room.topic", Some(""), 40),
            ("m.room.message", Some(""), 40),
        ];
        for (event_type, state_key, needed) in table {
            for (level, may) in [(needed, true), (needed - 1, false)] {
                let mut room = room.clone();
                let current = json!({
                    "events": {"m.room.name": 20, "m.reaction": 30, "low": -5}, "events_default": 10,
                    "state_default": 40, "users": {ALICE: 100, BOB: level}
                });
                room.force(ALICE, "m.room.power_levels", Some(""), current);
                assert_eq!(room.check(BOB, event_type, state_key, json!({})).is_ok(), may, "{event_type} {level}");
            }
        }
    }

    #[test]
    fn defaults_without_a_power_levels_event() {
        let mut room = Room::new();
        room.force_membership(BOB, "join");
        allowed(room.check(BOB, "m.room.message", None, json!({})));
        denied(room.check(BOB, "m.room.topic", Some(""), json!({})), "level 50");
        allowed(room.check(ALICE, "m.room.topic", Some(""), json!({})));
        assert_eq!((user_level(&room.state, ALICE), user_level(&room.state, BOB)), (100, 0));
        assert_eq!(user_level(&MapState::default(), ALICE), 0);
    }

    #[test]
    fn the_creator_is_nobody_once_there_are_levels() {
        let mut room = Room::with_levels(json!({"users_default": 3}));
        assert_eq!(user_level(&room.state, ALICE), 3);
        denied(room.check(ALICE, "m.room.topic", Some(""), json!({})), "level 50");
        room.force(ALICE, "m.room.power_levels", Some(""), json!({"users": {ALICE: 7}}));
        assert_eq!((user_level(&room.state, ALICE), user_level(&room.state, BOB)), (7, 0));
    }

    #[test]
    fn power_levels_with_another_state_key_mean_nothing() {
        let mut room = Room::new();
        room.send(ALICE, "m.room.power_levels", Some("x"), json!({"users": {BOB: 100}}));
        assert_eq!(user_level(&room.state, BOB), 0);
    }

    #[test]
    fn a_state_key_that_is_a_user_is_the_sender() {
        let room = Room::new();
        allowed(room.check(ALICE, "org.example.mine", Some(ALICE), json!({})));
        denied(room.check(ALICE, "org.example.mine", Some(BOB), json!({})), "must be the sender");
        denied(room.check(ALICE, "org.example.mine", Some("@"), json!({})), "must be the sender");
        allowed(room.check(ALICE, "org.example.mine", Some("x@"), json!({})));
    }
}

mod redaction {
    use super::*;

    #[test]
    fn needs_the_level_or_the_same_server() {
        let mut room = Room::with_levels(json!({"redact": 20, "users": {ALICE: 20, BOB: 19}}));
        let may = |room: &Room, who: &str, whose: &str| {
            may_redact(&room.state, &who.parse().unwrap(), &whose.parse().unwrap())
        };
        assert!(may(&room, ALICE, BOB));
        assert!(!may(&room, BOB, ALICE));
        assert!(may(&room, BOB, BOB));
        assert!(may(&room, BOB, "@bert:part.example"));
        room.force(ALICE, "m.room.power_levels", Some(""), json!({"users": {ALICE: 50, BOB: 49}}));
        assert!(may(&room, ALICE, BOB) && !may(&room, BOB, ALICE));
        assert!(may(&Room::new(), ALICE, BOB) && !may(&Room::new(), BOB, ALICE));
    }
}
