use axle_protocol::auth::AuthState as _;
use axle_protocol::{Event, EventId};
use axle_room::{FaultKind, Received, Refusal, Status, Verified};
use serde_json::json;

use crate::world::*;

/// An event as the hub would make it, whether its own rules allow it or not.
fn forge(hub: &Server, template: axle_protocol::event::Template) -> Event {
    let head = hub.room.head().unwrap().event_id.clone();
    let auth_events = template.select_auth_events(hub.room.state());
    template.into_pdu(hub.room.version(), &auth_events, &[head], &hub.me.name, &hub.me.key).unwrap()
}

fn rejected(received: Received) -> FaultKind {
    match received {
        Received::Rejected { fault, .. } => fault.kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_participant_follows_its_hub() {
    let (mut hub, mut one) = pair();
    for i in 0..20 {
        let event = match i % 2 {
            0 => hub.send(message(ALICE, &i.to_string())).unwrap(),
            _ => {
                let lpdu = one.lpdu(message(BOB, &i.to_string()));
                hub.append(&lpdu)
            }
        };
        assert!(matches!(one.receive(&event), Received::Appended(_)));
        if i % 5 == 0 {
            one.restart();
        }
    }
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
    assert_eq!(one.room.head().map(|head| head.position), Some(20));
}

#[test]
fn an_echo_settles_the_lpdu() {
    let (mut hub, mut one) = pair();
    let lpdu = one.lpdu(message(BOB, "hello"));
    let echo = hub.append(&lpdu);
    let Received::Appended(change) = one.receive(&echo) else { panic!() };
    assert_eq!(change.settled, [*lpdu.lpdu_hash().unwrap()]);
    let other = hub.send(message(ALICE, "hello")).unwrap();
    let Received::Appended(change) = one.receive(&other) else { panic!() };
    assert_eq!(change.settled, [] as [[u8; 32]; 0]);
}

#[test]
fn lpdus_of_a_user_never_repeat() {
    let (_, mut one) = pair();
    let times: Vec<_> = (0..3).map(|_| one.lpdu(message(BOB, "same")).origin_server_ts()).collect();
    assert_eq!(times, [1_000, 1_001, 1_002]);
    let queued = one.lpdu(message(BOB, "same"));
    one.restart();
    one.room.note_lpdu(&queued);
    assert_eq!(one.lpdu(message(BOB, "same")).origin_server_ts(), 1_004);
}

#[test]
fn a_hopeless_send_fails_at_once() {
    let (_, mut one) = pair();
    let topic = template(BOB, "m.room.topic", Some(""), json!({ "topic": "mine" }));
    assert!(matches!(one.room.make_lpdu(&one.me, topic), Err(Refusal::Forbidden(_))));
    let stranger = message("@bert:one.example", "not in");
    assert!(matches!(one.room.make_lpdu(&one.me, stranger), Err(Refusal::Forbidden(_))));
    let foreign = message(ALICE, "not ours");
    assert!(matches!(one.room.make_lpdu(&one.me, foreign), Err(Refusal::Forbidden(_))));
}

#[test]
fn a_repeated_event_is_a_duplicate_also_after_a_restart() {
    let (mut hub, mut one) = pair();
    let event = hub.send(message(ALICE, "once")).unwrap();
    one.receive(&event);
    assert!(matches!(one.receive(&event), Received::Duplicate));
    one.restart();
    assert!(matches!(one.receive(&event), Received::Duplicate));
    let state = hub.timeline()[2].clone();
    assert!(matches!(one.receive(&state), Received::Duplicate), "state that the join brought");
}

#[test]
fn only_the_hub_is_listened_to() {
    let (mut hub, mut one) = pair();
    let event = hub.send(message(ALICE, "hello")).unwrap();
    let known = one.known_for(&event);
    let refused = one.room.receive(&verified(&event), &name("two.example"), &known);
    assert!(matches!(refused, Received::Refused(Refusal::NotHub(_))));
}

#[test]
fn a_forbidden_event_is_a_fault_and_not_state() {
    let (mut hub, mut one) = pair();
    let forged = forge(&hub, template("@mallory:hub.example", "m.room.topic", Some(""), json!({ "topic": "mine" })));
    assert!(matches!(rejected(one.receive(&forged)), FaultKind::Forbidden(_)));
    assert_eq!(one.room.state().get("m.room.topic", ""), None);
    assert_eq!(one.log.last().unwrap().status, Status::Rejected);

    // What follows names it as its parent, and is taken all the same.
    let template = message(ALICE, "after");
    let auth_events = template.select_auth_events(hub.room.state());
    let parents = [forged.event_id().clone()];
    let after = template.into_pdu(hub.room.version(), &auth_events, &parents, &hub.me.name, &hub.me.key).unwrap();
    assert!(matches!(one.receive(&after), Received::Appended(_)));
    assert!(matches!(one.receive(&forged), Received::Duplicate));
    hub.send(message(ALICE, "the hub's own log has neither")).unwrap();
}

#[test]
fn auth_events_of_the_wrong_kind_are_a_fault() {
    let (mut hub, mut one) = pair();
    let message_before = hub.send(message(ALICE, "before")).unwrap();
    one.receive(&message_before);
    let head = message_before.event_id().clone();
    let create = one.room.state().create().unwrap().event_id.clone();
    let make = |auth_events: &[EventId]| {
        let template = message(ALICE, &auth_events.len().to_string());
        template
            .into_pdu(hub.room.version(), auth_events, std::slice::from_ref(&head), &hub.me.name, &hub.me.key)
            .unwrap()
    };
    let with_message = make(&[create.clone(), head.clone()]);
    let twice = make(&[create.clone(), create.clone(), create]);
    let none = make(&[]);
    for event in [with_message, twice, none] {
        assert!(matches!(rejected(one.receive(&event)), FaultKind::AuthEvents(_)));
    }
}

#[test]
fn an_lpdu_in_two_events_is_a_replay() {
    let (mut hub, mut one) = pair();
    let lpdu = one.lpdu(message(BOB, "pay 10"));
    let first = hub.append(&lpdu);
    one.receive(&first);
    one.restart();
    let auth_events = lpdu.select_auth_events(hub.room.state());
    let parents = [first.event_id().clone()];
    let second = lpdu.complete(&auth_events, &parents, &hub.me.name, &hub.me.key).unwrap();
    assert_eq!(rejected(one.receive(&second)), FaultKind::ReplayedLpdu(first.event_id().clone()));
}

#[test]
fn changed_content_leaves_a_redacted_copy_and_a_fault() {
    let (mut hub, mut one) = pair();
    let lpdu = one.lpdu(message(BOB, "10 coins"));
    let event = hub.append(&lpdu);
    let changed = Event::parse(event.json().replace("10 coins", "99 coins").as_bytes(), event.version()).unwrap();
    let Received::Appended(change) = one.receive(&changed) else { panic!() };
    assert_eq!(change.faults[0].kind, FaultKind::ContentChanged);
    assert_eq!(change.settled.len(), 1);
    let stored = &one.timeline()[1];
    assert_eq!(stored.event_id(), event.event_id());
    assert!(stored.content().is_empty());
}

#[test]
fn an_event_made_for_another_hub_is_a_fault() {
    let (hub, mut one) = pair();
    let other = identity("other.example");
    let carol = identity("two.example");
    let lpdu = message(CAROL, "hello").into_lpdu(hub.room.version(), &other.name, &carol.name, &carol.key).unwrap();
    let head = hub.room.head().unwrap().event_id.clone();
    let auth_events = lpdu.select_auth_events(hub.room.state());
    let event = lpdu.complete(&auth_events, &[head], &other.name, &other.key).unwrap();
    assert_eq!(rejected(one.receive(&event)), FaultKind::WrongHub(other.name));
}

#[test]
fn a_missing_signature_is_noted() {
    let (mut hub, mut one) = pair();
    let event = hub.send(message(ALICE, "hello")).unwrap();
    let thief = identity("thief.example");
    let bad = event.json().replace("\"hub.example\":{\"ed25519:1\"", "\"hub.exampl\":{\"ed25519:1\"");
    let bad = Event::parse(bad.as_bytes(), event.version()).unwrap();
    let error = Verified::check(bad.clone(), &Keys).unwrap_err();
    let fault = one.room.refuse_unverified(&bad, &name(HUB), &error).unwrap();
    assert!(matches!(fault.kind, FaultKind::BadSignature(_)));
    assert!(one.room.refuse_unverified(&bad, &thief.name, &error).is_err(), "not the hub's doing");
    assert!(matches!(one.receive(&event), Received::Appended(_)), "the good one is still welcome");
}

#[test]
fn who_has_left_is_not_told_more() {
    let (mut hub, mut one) = pair();
    let kick = hub.send(member(ALICE, BOB, "leave")).unwrap();
    assert!(matches!(one.receive(&kick), Received::Appended(_)));
    let after = hub.send(message(ALICE, "he is gone")).unwrap();
    assert!(matches!(one.receive(&after), Received::Refused(Refusal::NotParticipating)));
    assert!(matches!(one.room.make_lpdu(&one.me, message(BOB, "am I?")), Err(Refusal::NotParticipating)));
}

#[test]
fn a_join_by_send_that_crossed_our_end_fetches_what_lies_between() {
    let (mut hub, mut one) = pair();
    let other = "@bert:one.example";
    let join = one.lpdu(member(other, other, "join"));
    let kick = hub.send(member(ALICE, BOB, "leave")).unwrap();
    let between = hub.send(message(ALICE, "they do not hear this")).unwrap();
    let back = hub.append(&join);
    let after = hub.send(message(ALICE, "they hear this")).unwrap();
    one.receive(&kick);
    assert!(!one.room.is_participating());
    let Received::Waiting { from, .. } = one.receive(&back) else { panic!() };
    assert_eq!(from, *back.event_id());
    assert!(matches!(one.receive(&after), Received::Waiting { .. }));
    let page = hub.backfill(&from, 3);
    let known = one.known(&one.room.lookup([&back, &between, &kick]));
    let axle_room::Filled::Closed(change) = one.room.fill_gap(&from, &page, &known) else { panic!() };
    one.store(&change);
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
    assert!(one.room.is_participating());
}
