use axle_protocol::auth::{AuthState as _, Membership};
use axle_room::{Accepted, Delivery, Refusal, Route, Verified};
use serde_json::json;

use crate::world::*;

#[test]
fn the_log_of_a_hub_is_a_chain() {
    let (mut hub, mut one) = pair();
    for i in 0..5 {
        hub.send(message(ALICE, &i.to_string())).unwrap();
        let lpdu = one.lpdu(message(BOB, &i.to_string()));
        hub.append(&lpdu);
    }
    let timeline = hub.timeline();
    assert_eq!(timeline.len(), 15);
    assert!(timeline[0].prev_events().is_empty());
    for pair in timeline.windows(2) {
        assert_eq!(pair[1].prev_events(), [pair[0].event_id().clone()]);
    }
}

#[test]
fn own_events_carry_no_hub_server_and_lpdus_keep_theirs() {
    let (mut hub, mut one) = pair();
    let own = hub.send(message(ALICE, "hello")).unwrap();
    assert!(own.hub_server().is_none() && own.lpdu_hash().is_none());
    let lpdu = one.lpdu(message(BOB, "hello"));
    let finished = hub.append(&lpdu);
    assert_eq!(finished.hub_server(), Some(&name(HUB)));
    assert_eq!(finished.lpdu_hash(), lpdu.lpdu_hash());
    assert!(finished.verify(&Keys).is_valid());
}

#[test]
fn a_repeated_lpdu_is_recognised_also_after_a_restart() {
    let (mut hub, mut one) = pair();
    let lpdu = one.lpdu(message(BOB, "once"));
    let finished = hub.append(&lpdu);
    for _ in 0..2 {
        match hub.accept(&lpdu, Route::Transaction).unwrap() {
            Accepted::Duplicate(id) => assert_eq!(id, *finished.event_id()),
            Accepted::Appended { .. } => panic!("appended twice"),
        }
        hub.restart();
    }
}

#[test]
fn a_room_that_is_not_federated_is_for_users_of_its_hub() {
    let mut hub = Server::hub_of("public", json!({ "room_version": "I.1", "m.federate": false }));
    let one = Server::new("one.example");
    for _ in 0..2 {
        let refused = hub.room.make_membership(&hub.me, &user(BOB), Membership::Join, &one.me.name, 1_000);
        assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
        let refused = hub.accept(&one.join_lpdu(BOB), Route::Handshake(Membership::Join));
        assert!(matches!(refused, Err(Refusal::Forbidden(_))));
        let refused = hub.send(member(ALICE, BOB, "invite"));
        assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
        hub.send(member(ALICE, "@carl:hub.example", "invite")).unwrap();
        // Who is kept out need not have been let in.
        hub.send(member(ALICE, CAROL, "ban")).unwrap();
        hub.restart();
    }
}

#[test]
fn lpdus_that_are_not_for_us_are_refused() {
    let (mut hub, mut one) = pair();
    let origin = name("one.example");
    let known = Default::default();

    let lpdu = one.lpdu(message(BOB, "hello"));
    let other = name("two.example");
    let refused = hub.room.accept_lpdu(&hub.me, &verified(&lpdu), &other, Route::Transaction, &known);
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "brought by a stranger");

    let elsewhere = message(BOB, "hello").into_lpdu(one.room.version(), &other, &one.me.name, &one.me.key).unwrap();
    let refused = hub.room.accept_lpdu(&hub.me, &verified(&elsewhere), &origin, Route::Transaction, &known);
    assert!(matches!(refused, Err(Refusal::Unfit(_))), "made for another hub");

    let own = message(ALICE, "hello").into_lpdu(hub.room.version(), &name(HUB), &hub.me.name, &hub.me.key).unwrap();
    let refused = hub.room.accept_lpdu(&hub.me, &verified(&own), &hub.me.name, Route::Transaction, &known);
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "of a user of the hub");

    let finished = hub.send(message(ALICE, "hello")).unwrap();
    let refused = hub.room.accept_lpdu(&hub.me, &verified(&finished), &hub.me.name, Route::Transaction, &known);
    assert!(matches!(refused, Err(Refusal::Unfit(_))), "a finished event");

    let refused = one.room.accept_lpdu(&one.me, &verified(&lpdu), &origin, Route::Transaction, &known);
    assert!(matches!(refused, Err(Refusal::NotHub(hub)) if hub == name(HUB)), "not the hub");
}

#[test]
fn an_lpdu_whose_hash_is_wrong_is_refused() {
    let (hub, mut one) = pair();
    let lpdu = one.lpdu(message(BOB, "hello"));
    let changed = lpdu.json().replace("hello", "gold!");
    let changed = axle_protocol::Event::parse(changed.as_bytes(), one.room.version()).unwrap();
    let changed = Verified::check(changed, &Keys).unwrap();
    assert!(changed.content_changed(), "the signature covers only the redacted form");
    let mut room = hub.room;
    let refused = room.accept_lpdu(&hub.me, &changed, &name("one.example"), Route::Transaction, &Default::default());
    assert!(matches!(refused, Err(Refusal::Unfit(_))));
}

#[test]
fn what_the_rules_forbid_changes_nothing() {
    let (mut hub, one) = pair();
    let topic = template(BOB, "m.room.topic", Some(""), json!({ "topic": "mine" }));
    let lpdu = topic.into_lpdu(one.room.version(), &name(HUB), &one.me.name, &one.me.key).unwrap();
    let head = hub.room.head().cloned();
    let refused = hub.accept(&lpdu, Route::Transaction);
    assert!(matches!(refused, Err(Refusal::Forbidden(_))));
    assert_eq!(hub.room.head().cloned(), head);
    assert_eq!(hub.room.state().get("m.room.topic", ""), None);
}

#[test]
fn deliveries_follow_the_joined_users_of_a_server() {
    let mut hub = Server::hub("public");
    let mut one = Server::new("one.example");
    let change = one.join(&mut hub, BOB);
    let start = Delivery::Start { destination: name("one.example"), after: 4 };
    assert_eq!(change.deliveries, [start], "the join itself is the answer to send_join");

    let second = one.lpdu(member("@bert:one.example", "@bert:one.example", "join"));
    let Accepted::Appended { change, .. } = hub.accept(&second, Route::Transaction).unwrap() else { panic!() };
    assert_eq!(change.deliveries, [], "the server is in already");

    let kick = hub.room.send_local(&hub.me, member(ALICE, BOB, "leave"), &Default::default()).unwrap();
    assert_eq!(hub.appended(kick).1.deliveries, [], "another user of the server is left");
    let ban = hub.room.send_local(&hub.me, member(ALICE, "@bert:one.example", "ban"), &Default::default()).unwrap();
    let stop = Delivery::Stop { destination: name("one.example"), at: 7 };
    assert_eq!(hub.appended(ban).1.deliveries, [stop], "the ban is the last that it gets");
}

#[test]
fn a_join_by_send_of_a_server_outside_is_echoed() {
    let mut hub = Server::hub("public");
    let one = Server::new("one.example");
    let Accepted::Appended { change, .. } = hub.accept(&one.join_lpdu(BOB), Route::Transaction).unwrap() else {
        panic!()
    };
    assert_eq!(change.deliveries, [Delivery::Start { destination: name("one.example"), after: 3 }]);
}

#[test]
fn who_rejects_a_knock_tells_the_knocker_though_their_server_is_outside() {
    let mut hub = Server::hub("knock");
    let one = identity("one.example");
    let knock = member(BOB, BOB, "knock").into_lpdu(hub.room.version(), &name(HUB), &one.name, &one.key).unwrap();
    hub.accept(&knock, Route::Handshake(Membership::Knock)).unwrap();
    let denied = hub.room.send_local(&hub.me, member(ALICE, BOB, "leave"), &Default::default()).unwrap();
    let destination = name("one.example");
    let once = [Delivery::Start { destination: destination.clone(), after: 4 }, Delivery::Stop { destination, at: 5 }];
    assert_eq!(hub.appended(denied).1.deliveries, once);
}

#[test]
fn make_answers_what_would_be_allowed() {
    let hub = Server::hub("invite");
    let origin = name("one.example");
    let refused = hub.room.make_membership(&hub.me, &user(BOB), Membership::Join, &origin, 5);
    assert!(matches!(refused, Err(Refusal::Forbidden(_))));

    let hub = Server::hub("public");
    let join = hub.room.make_membership(&hub.me, &user(BOB), Membership::Join, &origin, 5).unwrap();
    assert_eq!(join.sender, user(BOB));
    assert_eq!(join.state_key.as_deref(), Some(BOB));
    let stranger = hub.room.make_membership(&hub.me, &user(BOB), Membership::Join, &name("two.example"), 5);
    assert!(matches!(stranger, Err(Refusal::Forbidden(_))));
    let leave = hub.room.make_membership(&hub.me, &user(BOB), Membership::Leave, &origin, 5);
    assert!(matches!(leave, Err(Refusal::Forbidden(_))), "who is not in cannot leave");
}

#[test]
fn a_handshake_takes_only_what_it_is_for() {
    let mut hub = Server::hub("public");
    let one = Server::new("one.example");
    let refused = hub.accept(&one.join_lpdu(BOB), Route::Handshake(Membership::Leave));
    assert!(matches!(refused, Err(Refusal::Unfit(_))));
}

#[test]
fn a_server_in_the_room_may_bring_the_join_of_an_invited_user_of_another() {
    let (mut hub, _) = pair();
    let two = Server::new("two.example");
    let join = two.join_lpdu(CAROL);
    let bring = |hub: &mut Server, origin: &str| {
        let route = Route::Handshake(Membership::Join);
        hub.room.accept_lpdu(&hub.me, &verified(&join), &name(origin), route, &Default::default())
    };
    assert!(matches!(bring(&mut hub, "one.example"), Err(Refusal::Forbidden(_))), "not invited");
    crate::invites::invite_from_hub(&mut hub, CAROL);
    assert!(matches!(bring(&mut hub, "three.example"), Err(Refusal::Forbidden(_))), "not in the room");
    assert!(bring(&mut hub, "one.example").is_ok());
}

#[test]
fn a_redaction_applies_only_if_its_sender_may() {
    let (mut hub, mut one) = pair();
    let by_alice = hub.send(message(ALICE, "mine")).unwrap();
    let lpdu = one.lpdu(message(BOB, "his"));
    let by_bob = hub.append(&lpdu);
    let redaction = |sender, id: &str| template(sender, "m.room.redaction", None, json!({ "redacts": id }));

    let redacts = |hub: &Server| hub.log.last().unwrap().redacts.clone();
    for event in hub.timeline().iter().skip(5) {
        one.receive(event);
    }
    for (id, expected) in [(&by_alice, false), (&by_bob, true)] {
        let lpdu = one.lpdu(redaction(BOB, id.event_id().as_str()));
        let echo = hub.append(&lpdu);
        assert_eq!(redacts(&hub).is_some(), expected, "a user redacts what is theirs");
        one.receive(&echo);
        assert_eq!(redacts(&one).is_some(), expected, "a participant comes to the same");
    }
    hub.send(redaction(ALICE, by_bob.event_id().as_str())).unwrap();
    assert_eq!(redacts(&hub), Some(by_bob.event_id().clone()), "who has the level redacts anything");
    hub.send(redaction(ALICE, "$elsewhere")).unwrap();
    assert_eq!(redacts(&hub), None, "an event of another room stays");
}

#[test]
fn a_restored_room_is_the_same_room() {
    let (mut hub, _) = pair();
    let before: std::collections::BTreeSet<_> = entries(&hub);
    let levels = hub.room.state().power_levels().map(|(id, levels)| (id.clone(), levels.clone()));
    hub.restart();
    assert_eq!(entries(&hub), before);
    assert_eq!(hub.room.state().power_levels().map(|(id, levels)| (id.clone(), levels.clone())), levels);
    assert_eq!(hub.room.state().joined_users_of("one.example"), 1);
    assert!(hub.room.is_hub() && hub.send(message(ALICE, "on we go")).is_ok());
}

fn entries(server: &Server) -> std::collections::BTreeSet<(String, String, String)> {
    let text = |(kind, key, id): (&str, &str, &axle_protocol::EventId)| (kind.into(), key.into(), id.to_string());
    server.room.state().entries().map(text).collect()
}
