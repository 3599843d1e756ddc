use axle_protocol::auth::AuthState as _;
use axle_protocol::{Event, EventId};
use axle_room::{Accepted, Delivery, FaultKind, Received, Refusal, Route, Settled, Status, Verified};
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
    assert_eq!(change.settled, [Settled { lpdu_hash: *lpdu.lpdu_hash().unwrap(), event_id: echo.event_id().clone() }]);
    let other = hub.send(message(ALICE, "hello")).unwrap();
    let Received::Appended(change) = one.receive(&other) else { panic!() };
    assert_eq!(change.settled, []);
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

fn faults(received: Received) -> Vec<FaultKind> {
    match received {
        Received::Appended(change) => change.faults.into_iter().map(|fault| fault.kind).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_beside_the_last_one_is_taken_and_noted() {
    let (mut hub, mut one) = pair();
    let beside = forge(&hub, message(ALICE, "what you are told"));
    let event = hub.send(message(ALICE, "what the others are told")).unwrap();
    assert_eq!(faults(one.receive(&beside)), []);
    let at = one.room.head().unwrap().position - 1;
    let fork = FaultKind::Forked { before: beside.event_id().clone(), parent: Some(at) };
    assert!(!fork.is_proof(), "there are hubs that make no chain");
    assert_eq!(faults(one.receive(&event)), [fork]);
    let next = hub.send(message(ALICE, "on we go")).unwrap();
    assert_eq!(faults(one.receive(&next)), []);
}

#[test]
fn what_follows_a_rejected_event_is_not_blamed_for_it() {
    let (mut hub, mut one) = pair();
    let parent = hub.room.head().unwrap().event_id.clone();
    let forbidden = forge(&hub, template("@mallory:hub.example", "m.room.topic", Some(""), json!({ "topic": "mine" })));
    rejected(one.receive(&forbidden));
    let template = message(ALICE, "after it");
    let auth_events = template.select_auth_events(hub.room.state());
    let parents = [forbidden.event_id().clone()];
    let after = template.into_pdu(hub.room.version(), &auth_events, &parents, &hub.me.name, &hub.me.key).unwrap();
    assert_eq!(faults(one.receive(&after)), []);
    assert_ne!(parent, parents[0]);
    assert!(hub.send(message(ALICE, "the log of the hub is whole")).is_ok());
}

#[test]
fn auth_events_that_are_not_the_current_ones_are_noted() {
    let (hub, mut one) = pair();
    let (levels, _) = hub.room.state().power_levels().unwrap();
    let template = message(ALICE, "as if there were no levels");
    let auth_events = template.select_auth_events(hub.room.state());
    let auth_events: Vec<EventId> = auth_events.into_iter().filter(|id| id != levels).collect();
    let parents = [hub.room.head().unwrap().event_id.clone()];
    let event = template.into_pdu(hub.room.version(), &auth_events, &parents, &hub.me.name, &hub.me.key).unwrap();
    assert_eq!(faults(one.receive(&event)), [FaultKind::OutdatedAuthEvents]);
}

#[test]
fn a_hub_that_leaves_out_what_it_took_is_noticed_by_what_comes_after() {
    let (mut hub, mut one) = pair();
    let left_out = one.lpdu(message(BOB, "nobody shall hear this"));
    let crossing = one.lpdu(message(BOB, "made before the hub answered"));
    one.room.lpdu_taken(left_out.lpdu_hash().unwrap());
    let echo = hub.append(&crossing);
    assert_eq!(faults(one.receive(&echo)), [], "the first may have been refused, and taken when it was repeated");
    let later = one.lpdu(message(BOB, "made after it"));
    let echo = hub.append(&later);
    assert_eq!(faults(one.receive(&echo)), [FaultKind::SkippedLpdu(left_out.event_id().clone())]);
    assert!(!one.room.awaits_echoes(), "it is said once");
}

#[test]
fn an_lpdu_that_was_refused_is_not_missed() {
    let (mut hub, mut one) = pair();
    let refused = one.lpdu(message(BOB, "refused"));
    one.room.lpdu_taken(refused.lpdu_hash().unwrap());
    one.room.lpdu_refused(refused.lpdu_hash().unwrap());
    let later = one.lpdu(message(BOB, "later"));
    let echo = hub.append(&later);
    assert_eq!(faults(one.receive(&echo)), []);
}

#[test]
fn what_waits_behind_a_gap_is_not_left_out() {
    let (mut hub, mut one) = pair();
    let first = one.lpdu(message(BOB, "first"));
    one.room.lpdu_taken(first.lpdu_hash().unwrap());
    let lost = hub.send(message(ALICE, "lost")).unwrap();
    let first = hub.append(&first);
    let later = one.lpdu(message(BOB, "later"));
    let later = hub.append(&later);
    assert!(matches!(one.receive(&later), Received::Waiting { .. }));
    assert!(matches!(one.receive(&first), Received::Waiting { .. }));
    assert_eq!(faults(one.receive(&lost)), []);
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
}

#[test]
fn an_lpdu_that_waits_in_two_events_is_a_replay_once() {
    let (mut hub, mut one) = pair();
    let lpdu = one.lpdu(message(BOB, "pay 10"));
    let lost = hub.send(message(ALICE, "lost")).unwrap();
    let first = hub.append(&lpdu);
    let auth_events = lpdu.select_auth_events(hub.room.state());
    let parents = [first.event_id().clone()];
    let second = lpdu.complete(&auth_events, &parents, &hub.me.name, &hub.me.key).unwrap();
    assert!(matches!(one.receive(&first), Received::Waiting { .. }));
    assert!(matches!(one.receive(&second), Received::Waiting { .. }));
    one.restart();
    // The store knows the LPDU by either event.
    let mut known = one.known_for(&lost);
    known.lpdus.insert(*lpdu.lpdu_hash().unwrap(), second.event_id().clone());
    let received = one.room.receive(&verified(&lost), &name(HUB), &known);
    assert_eq!(faults(received), [FaultKind::ReplayedLpdu(first.event_id().clone())]);
    assert_eq!(one.room.head().unwrap().event_id, *first.event_id());
}

#[test]
fn the_echo_of_an_lpdu_that_came_after_our_last_user_had_left_reaches_its_sender() {
    for is_more_between in [false, true] {
        let (mut hub, mut one) = pair();
        let (bert, berta) = ("@bert:one.example", "@berta:one.example");
        let invite = hub.send(member(ALICE, bert, "invite")).unwrap();
        one.receive(&invite);
        let decline = one.lpdu(member(bert, bert, "leave"));
        let join = one.lpdu(member(berta, berta, "join"));
        let kick = hub.send(member(ALICE, BOB, "leave")).unwrap();
        one.receive(&kick);
        if is_more_between {
            hub.send(message(ALICE, "they do not hear this")).unwrap();
        }
        let Accepted::Appended { event, change } = hub.accept(&decline, Route::Transaction).unwrap() else { panic!() };
        let (destination, at) = (one.me.name.clone(), hub.room.head().unwrap().position);
        let once =
            [Delivery::Start { destination: destination.clone(), after: at - 1 }, Delivery::Stop { destination, at }];
        assert_eq!(change.deliveries, once);
        let Received::Appended(change) = one.receive(&event) else { panic!() };
        assert_eq!(change.settled.len(), 1);
        assert_eq!(one.timeline().last().unwrap(), &kick, "it has no place in our log");
        let again = one.receive(&event);
        assert!(matches!(again, Received::Refused(Refusal::NotParticipating)), "it is not waited for any more");

        // Who comes back by /send comes after it.
        let back = hub.append(&join);
        let Received::Waiting { from, .. } = one.receive(&back) else { panic!() };
        let page = hub.backfill(&from, 50);
        let known = one.known(&one.room.lookup(page.iter().map(Verified::event)));
        let axle_room::Filled::Closed(change) = one.room.fill_gap(&from, &page, &known) else { panic!() };
        one.store(&change);
        assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
        assert_eq!(change.faults, []);
    }
}

#[test]
fn an_lpdu_whose_event_a_join_brings_as_state_is_settled() {
    let (mut hub, mut one) = pair();
    let bert = "@bert:one.example";
    let join = one.lpdu(member(bert, bert, "join"));
    let kick = hub.send(member(ALICE, BOB, "leave")).unwrap();
    hub.append(&join);
    one.receive(&kick);
    let again = axle_protocol::event::Template { origin_server_ts: 2_000, ..member(BOB, BOB, "join") };
    let lpdu = again.into_lpdu(one.room.version(), &hub.me.name, &one.me.name, &one.me.key).unwrap();
    let (answer, _) = hub.answer_join(&lpdu);
    let change = one.room.join(answer, &Default::default()).unwrap();
    assert!(change.settled.iter().any(|settled| settled.lpdu_hash == *join.lpdu_hash().unwrap()));
    assert!(!one.room.awaits_echoes());
}

#[test]
fn an_own_event_that_is_rejected_is_not_waited_for() {
    let (mut hub, mut one) = pair();
    let lpdu = one.lpdu(message(BOB, "with the wrong auth events"));
    let message = hub.send(message(ALICE, "a message")).unwrap();
    one.receive(&message);
    let mut auth_events = lpdu.select_auth_events(hub.room.state());
    auth_events.push(message.event_id().clone());
    let parents = [message.event_id().clone()];
    let event = lpdu.complete(&auth_events, &parents, &hub.me.name, &hub.me.key).unwrap();
    let Received::Rejected { change, .. } = one.receive(&event) else { panic!() };
    assert_eq!(change.settled.len(), 1);
    assert!(!one.room.awaits_echoes());
}
