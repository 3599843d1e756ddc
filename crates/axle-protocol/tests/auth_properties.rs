//! What must hold of the rules whatever the state and the event.
#![allow(clippy::unwrap_used)]

mod common;

use axle_protocol::auth::{self, AuthState, Membership, required_levels, user_level};
use common::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const USERS: [&str; 4] = [ALICE, BOB, CAROL, "@dave:part.example"];
const MEMBERSHIPS: [&str; 5] = ["join", "invite", "knock", "leave", "ban"];

fn user() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&USERS[..])
}

fn level() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(50), Just(100), -5..110i64]
}

fn levels() -> impl Strategy<Value = Value> {
    let named = prop::collection::btree_map(
        prop::sample::select(
            &["ban", "kick", "invite", "redact", "users_default", "events_default", "state_default"][..],
        ),
        level(),
        0..5,
    );
    let events = prop::collection::btree_map(
        prop::sample::select(&["m.room.power_levels", "m.room.name", "m.room.message"][..]),
        level(),
        0..3,
    );
    let users = prop::collection::btree_map(user(), level(), 0..4);
    (named, events, users).prop_map(|(named, events, users)| {
        let mut content = json!(named);
        content["events"] = json!(events);
        content["users"] = json!(users);
        content
    })
}

/// Any state, also one that the rules would never have let become.
fn room() -> impl Strategy<Value = Room> {
    let memberships = prop::collection::vec((user(), prop::sample::select(&MEMBERSHIPS[..])), 0..5);
    let rule = prop::option::of(prop::sample::select(&["public", "invite", "knock", "restricted"][..]));
    (memberships, rule, prop::option::of(levels())).prop_map(|(memberships, rule, levels)| {
        let mut room = Room::just_created();
        for (user, membership) in memberships {
            room.force_membership(user, membership);
        }
        if let Some(rule) = rule {
            room.force(ALICE, "m.room.join_rules", Some(""), json!({"join_rule": rule}));
        }
        if let Some(levels) = levels {
            room.force(ALICE, "m.room.power_levels", Some(""), levels);
        }
        room
    })
}

fn membership(room: &Room, user: &str) -> Membership {
    room.state.member(user).map_or(Membership::Leave, |(_, membership)| membership)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn the_banned_do_nothing(
        room in room(), sender in user(), target in user(), to in prop::sample::select(&MEMBERSHIPS[..])
    ) {
        let mut room = room;
        room.force_membership(sender, "ban");
        prop_assert!(room.check_membership(sender, target, to).is_err());
        let message = room.check(sender, "m.room.message", None, json!({}));
        prop_assert!(message.is_err());
    }

    #[test]
    fn nobody_acts_on_others_without_being_in_the_room(
        room in room(), sender in user(), target in user(), to in prop::sample::select(&MEMBERSHIPS[..])
    ) {
        let first_join = room.state.member(ALICE).is_none() && target == ALICE && to == "join";
        prop_assume!(sender != target && membership(&room, sender) != Membership::Join && !first_join);
        prop_assert!(room.check_membership(sender, target, to).is_err());
    }

    #[test]
    fn only_kicks_and_bans_touch_those_who_are_in(
        room in room(), sender in user(), target in user(), to in prop::sample::select(&MEMBERSHIPS[..])
    ) {
        prop_assume!(sender != target);
        let mut room = room;
        room.force_membership(target, "join");
        if room.check_membership(sender, target, to).is_ok() {
            let needed = if to == "ban" { required_levels(&room.state).ban() } else { required_levels(&room.state).kick() };
            prop_assert!(to == "ban" || to == "leave");
            prop_assert!(user_level(&room.state, sender) >= needed);
            prop_assert!(user_level(&room.state, sender) > user_level(&room.state, target));
        }
    }

    #[test]
    fn who_is_not_in_enters_by_the_rule_only(room in room(), user in user()) {
        if room.check_membership(user, user, "join").is_ok() {
            let was = membership(&room, user);
            let public = room.state.join_rule().is_some_and(|(_, rule)| rule == auth::JoinRule::Public);
            let first = user == ALICE && room.state.member(user).is_none();
            prop_assert!(public || first || matches!(was, Membership::Join | Membership::Invite));
            prop_assert!(was != Membership::Ban);
        }
    }

    #[test]
    fn nothing_is_sent_below_its_level(
        room in room(), sender in user(), state_key in prop::option::of(Just("")),
        event_type in prop::sample::select(&["m.room.name", "m.room.message", "m.room.topic"][..])
    ) {
        let needed = required_levels(&room.state).event(event_type, state_key.is_some());
        let may = membership(&room, sender) == Membership::Join && user_level(&room.state, sender) >= needed;
        prop_assert_eq!(room.check(sender, event_type, state_key, json!({})).is_ok(), may);
    }

    #[test]
    fn nobody_raises_anyone_above_themselves(room in room(), sender in user(), new in levels()) {
        prop_assume!(room.state.power_levels().is_some());
        if room.check(sender, "m.room.power_levels", Some(""), new.clone()).is_ok() {
            let own = user_level(&room.state, sender);
            let mut after = room.clone();
            after.force(ALICE, "m.room.power_levels", Some(""), new);
            for user in USERS {
                let (was, is) = (user_level(&room.state, user), user_level(&after.state, user));
                prop_assert!(is <= was.max(own), "{} went from {} to {} by a {}", user, was, is, own);
            }
            for (user, was) in &room.state.power_levels().unwrap().1.users {
                if *was > own && user != sender {
                    let is = after.state.power_levels().unwrap().1.users.get(user);
                    prop_assert_eq!(is, Some(was), "{} of {} was changed by a {}", user, was, own);
                }
            }
        }
    }

    #[test]
    fn those_below_the_level_never_change_power_levels(room in room(), sender in user(), new in levels()) {
        let needed = required_levels(&room.state).event("m.room.power_levels", true);
        prop_assume!(user_level(&room.state, sender) < needed || membership(&room, sender) != Membership::Join);
        prop_assert!(room.check(sender, "m.room.power_levels", Some(""), new).is_err());
    }

    /// Content of any shape is answered, never a panic.
    #[test]
    fn any_content_is_judged(room in room(), sender in user(), content in any_object(), key in prop::option::of(".{0,9}")) {
        for event_type in ["m.room.create", "m.room.member", "m.room.power_levels", "m.room.join_rules"] {
            let _ = room.check(sender, event_type, key.as_deref(), content.clone());
            room.clone().force(sender, event_type, Some(""), content.clone());
        }
    }
}

fn any_object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        level().prop_map(Value::from),
        ".{0,5}".prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[@a-z:.]{0,12}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    });
    const NAMES: [&str; 7] = ["membership", "users", "events", "ban", "room_version", "join_rule", "users_default"];
    prop::collection::btree_map(prop::sample::select(&NAMES[..]), value, 0..5).prop_map(|map| json!(map))
}
