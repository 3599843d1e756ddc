//! Rule 5 of "Auth Rules Algorithm": memberships.
#![allow(clippy::unwrap_used)]

mod common;

use axle_protocol::EventId;
use axle_protocol::auth;
use common::*;
use serde_json::json;

#[test]
fn needs_a_state_key_and_a_membership() {
    let room = Room::new();
    denied(room.check(ALICE, "m.room.member", None, json!({"membership": "join"})), "state key");
    denied(room.check(ALICE, "m.room.member", Some(ALICE), json!({})), "membership is missing");
    denied(room.check(ALICE, "m.room.member", Some(ALICE), json!({"membership": 1})), "membership is missing");
    denied(room.check_membership(ALICE, "bob", "invite"), "user id");
    denied(room.check_membership(ALICE, "", "invite"), "user id");
}

#[test]
fn unknown_memberships_are_refused() {
    for membership in ["", "Join", "JOIN", "joined", "m.join"] {
        denied(Room::new().check_membership(ALICE, ALICE, membership), "unknown");
    }
}

mod join {
    use super::*;

    #[test]
    fn the_creator_joins_right_after_create() {
        allowed(Room::just_created().check_membership(ALICE, ALICE, "join"));
        denied(Room::just_created().check_membership(BOB, BOB, "join"), "invite");
        denied(Room::just_created().check_membership("@ann:hub.example", "@ann:hub.example", "join"), "invite");
    }

    #[test]
    fn only_while_the_room_has_nothing_but_create() {
        let create = Room::just_created().head;
        let rejoin = pdu(ALICE, "m.room.member", Some(ALICE), json!({"membership": "join"}), &create, &create);
        allowed(auth::check(&rejoin, &Room::just_created().state));
        for membership in ["leave", "ban"] {
            let mut room = Room::new();
            room.force_membership(ALICE, membership);
            denied(auth::check(&rejoin, &room.state), if membership == "ban" { "banned" } else { "invite" });
        }
        for (event_type, content) in
            [("m.room.power_levels", json!({})), ("m.room.join_rules", json!({"join_rule": "invite"}))]
        {
            let mut room = Room::just_created();
            room.force(ALICE, event_type, Some(""), content);
            denied(auth::check(&rejoin, &room.state), "invite");
        }
    }

    #[test]
    fn only_if_the_create_event_is_the_parent() {
        let room = Room::just_created();
        let join = |prev: &[EventId]| {
            pdu(ALICE, "m.room.member", Some(ALICE), json!({"membership": "join"}), &room.head, prev)
        };
        denied(auth::check(&join(&["$x".parse().unwrap()]), &room.state), "invite");
        denied(auth::check(&join(&[]), &room.state), "invite");
        denied(auth::check(&join(&[room.head[0].clone(), "$x".parse().unwrap()]), &room.state), "invite");
    }

    #[test]
    fn a_participants_lpdu_never_is_the_first_join() {
        let event = lpdu(BOB, "m.room.member", Some(ALICE), json!({"membership": "join"}));
        denied(auth::check(&event, &Room::just_created().state), "for another user");
    }

    #[test]
    fn nobody_joins_for_another() {
        let mut room = Room::new();
        room.join_rule("public");
        denied(room.check_membership(ALICE, BOB, "join"), "for another user");
    }

    #[test]
    fn who_was_what_under_which_rule() {
        // Of leave, invite, knock, join: who may join.
        let table = [
            (Some("public"), [true, true, true, true]),
            (Some("invite"), [false, true, false, true]),
            (Some("knock"), [false, true, false, true]),
            (None, [false, true, false, true]),
            (Some("restricted"), [false, false, false, false]),
            (Some("knock_restricted"), [false, false, false, false]),
            (Some("private"), [false, false, false, false]),
            (Some(""), [false, false, false, false]),
        ];
        for (rule, may) in table {
            for (was, may) in ["leave", "invite", "knock", "join"].into_iter().zip(may) {
                let mut room = Room::new();
                if let Some(rule) = rule {
                    room.join_rule(rule);
                }
                room.force_membership(BOB, was);
                assert_eq!(room.check_membership(BOB, BOB, "join").is_ok(), may, "{was} under {rule:?}");
                room.force_membership(BOB, "ban");
                room.check_membership(BOB, BOB, "join").unwrap_err();
            }
        }
    }

    #[test]
    fn a_join_rule_that_is_no_text_lets_nobody_in() {
        for content in [json!({}), json!({"join_rule": null}), json!({"join_rule": ["public"]})] {
            let mut room = Room::new();
            room.send(ALICE, "m.room.join_rules", Some(""), content);
            denied(room.check_membership(BOB, BOB, "join"), "unknown");
        }
    }

    #[test]
    fn join_rules_with_another_state_key_mean_nothing() {
        let mut room = Room::new();
        room.send(ALICE, "m.room.join_rules", Some("x"), json!({"join_rule": "public"}));
        denied(room.check_membership(BOB, BOB, "join"), "invite");
    }
}

mod invite {
    use super::*;

    #[test]
    fn by_members_of_the_needed_level() {
        let mut room = Room::with_levels(json!({"invite": 10, "users": {ALICE: 10}}));
        allowed(room.check_membership(ALICE, BOB, "invite"));
        room.force_membership(BOB, "join");
        denied(room.check_membership(BOB, CAROL, "invite"), "level 10");
    }

    #[test]
    fn by_anyone_in_the_room_by_default() {
        let mut room = Room::new();
        room.force_membership(BOB, "join");
        allowed(room.check_membership(BOB, CAROL, "invite"));
    }

    #[test]
    fn only_by_members() {
        let mut room = Room::new();
        for was in ["leave", "invite", "knock", "ban"] {
            room.force_membership(BOB, was);
            denied(room.check_membership(BOB, CAROL, "invite"), "not in the room");
        }
    }

    #[test]
    fn of_users_who_are_neither_in_nor_banned() {
        let mut room = Room::new();
        for (was, because) in [("join", "already"), ("ban", "banned")] {
            room.force_membership(BOB, was);
            denied(room.check_membership(ALICE, BOB, "invite"), because);
        }
        for was in ["leave", "invite", "knock"] {
            room.force_membership(BOB, was);
            allowed(room.check_membership(ALICE, BOB, "invite"));
        }
    }
}

mod leave {
    use super::*;

    #[test]
    fn ones_own() {
        let mut room = Room::new();
        denied(room.check_membership(BOB, BOB, "leave"), "nothing to leave");
        for (was, may) in [("join", true), ("invite", true), ("knock", true), ("leave", false), ("ban", false)] {
            room.force_membership(BOB, was);
            assert_eq!(room.check_membership(BOB, BOB, "leave").is_ok(), may, "{was}");
        }
    }

    #[test]
    fn a_kick_needs_membership() {
        let mut room = Room::with_levels(json!({"users": {ALICE: 100, BOB: 100}}));
        room.force_membership(CAROL, "join");
        denied(room.check_membership(BOB, CAROL, "leave"), "not in the room");
        room.force_membership(BOB, "join");
        allowed(room.check_membership(BOB, CAROL, "leave"));
    }

    #[test]
    fn a_kick_needs_the_level_and_a_lower_target() {
        // Levels of kick, sender, target.
        for (kick, sender, target, may) in
            [(50, 50, 49, true), (50, 49, 0, false), (50, 50, 50, false), (50, 60, 61, false), (0, 0, -1, true)]
        {
            let levels = json!({"kick": kick, "users": {ALICE: 100, BOB: sender, CAROL: target}});
            let mut room = Room::with_levels(levels);
            room.force_membership(BOB, "join");
            for was in ["join", "invite", "knock", "leave"] {
                room.force_membership(CAROL, was);
                let result = room.check_membership(BOB, CAROL, "leave");
                assert_eq!(result.is_ok(), may, "kick {kick}, sender {sender}, target {target}, {was}");
            }
        }
    }

    #[test]
    fn without_a_level_for_it_a_kick_needs_50() {
        for (sender, may) in [(50, true), (49, false)] {
            let mut room = Room::with_levels(json!({"users": {ALICE: 100, BOB: sender}}));
            room.force_membership(BOB, "join");
            room.force_membership(CAROL, "join");
            assert_eq!(room.check_membership(BOB, CAROL, "leave").is_ok(), may, "{sender}");
        }
    }

    #[test]
    fn lifting_a_ban_needs_both_levels() {
        for (ban, kick, may) in [(50, 50, true), (51, 50, false), (50, 51, false)] {
            let levels = json!({"ban": ban, "kick": kick, "users": {ALICE: 100, BOB: 50}});
            let mut room = Room::with_levels(levels);
            room.force_membership(BOB, "join");
            room.force_membership(CAROL, "ban");
            assert_eq!(room.check_membership(BOB, CAROL, "leave").is_ok(), may, "ban {ban}, kick {kick}");
        }
    }
}

mod ban {
    use super::*;

    #[test]
    fn needs_membership_the_level_and_a_lower_target() {
        for (ban, sender, target, may) in
            [(50, 50, 49, true), (50, 49, 0, false), (50, 50, 50, false), (0, 0, -1, true)]
        {
            let levels = json!({"ban": ban, "users": {ALICE: 100, BOB: sender, CAROL: target}});
            let mut room = Room::with_levels(levels);
            denied(room.check_membership(BOB, CAROL, "ban"), "not in the room");
            room.force_membership(BOB, "join");
            for was in ["leave", "join", "invite", "knock", "ban"] {
                room.force_membership(CAROL, was);
                assert_eq!(room.check_membership(BOB, CAROL, "ban").is_ok(), may, "{ban} {sender} {target} {was}");
            }
        }
    }

    #[test]
    fn nobody_bans_themselves() {
        denied(Room::new().check_membership(ALICE, ALICE, "ban"), "not below");
    }
}

mod knock {
    use super::*;

    #[test]
    fn only_under_the_knock_rule() {
        for rule in ["public", "invite", "restricted", "knock_restricted", "?"] {
            let mut room = Room::new();
            room.join_rule(rule);
            denied(room.check_membership(BOB, BOB, "knock"), "join rule");
        }
        denied(Room::new().check_membership(BOB, BOB, "knock"), "join rule");
        let mut room = Room::new();
        room.join_rule("knock");
        allowed(room.check_membership(BOB, BOB, "knock"));
    }

    #[test]
    fn for_oneself_by_those_outside() {
        let mut room = Room::new();
        room.join_rule("knock");
        denied(room.check_membership(ALICE, BOB, "knock"), "for another user");
        for (was, may) in [("leave", true), ("invite", true), ("knock", true), ("join", false), ("ban", false)] {
            room.force_membership(BOB, was);
            assert_eq!(room.check_membership(BOB, BOB, "knock").is_ok(), may, "{was}");
        }
    }
}
