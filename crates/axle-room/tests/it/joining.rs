use axle_room::{FaultKind, Known, Refusal, Status, Verified};
use serde_json::json;

use crate::world::*;

#[test]
fn a_join_brings_the_state_and_begins_the_log() {
    let (hub, one) = pair();
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
    assert_eq!(one.room.head().map(|head| head.position), Some(0));
    assert_eq!(one.room.hub(), Some(name(HUB)));
    assert!(!one.room.is_hub() && one.room.is_participating());
    let state = one.log.iter().filter(|placed| placed.sets_state && placed.status == Status::Outlier).count();
    assert_eq!(state, 4);
}

#[test]
fn a_second_stay_leaves_room_for_what_was_between() {
    let (mut hub, mut one) = pair();
    let leave = one.lpdu(member(BOB, BOB, "leave"));
    let leave = hub.append(&leave);
    one.receive(&leave);
    assert!(!one.room.is_participating());
    hub.send(template(ALICE, "m.room.topic", Some(""), json!({ "topic": "without bob" }))).unwrap();
    for i in 0..3 {
        hub.send(message(ALICE, &i.to_string())).unwrap();
    }
    let lpdu = member(BOB, BOB, "join");
    let lpdu = axle_protocol::event::Template { origin_server_ts: 2_000, ..lpdu };
    let lpdu = lpdu.into_lpdu(hub.room.version(), &name(HUB), &one.me.name, &one.me.key).unwrap();
    let (answer, _) = hub.answer_join(&lpdu);
    let join = answer.event.event().clone();
    let all = answer.state.iter().chain(&answer.auth_chain).map(Verified::event);
    let known = one.known(&one.room.lookup(all));
    let change = one.room.join(answer, &known).unwrap();
    one.store(&change);
    assert_eq!(one.room.state().get("m.room.topic", ""), hub.room.state().get("m.room.topic", ""));

    let position = one.room.head().unwrap().position;
    let parent = &join.prev_events()[0];
    let page = hub.backfill(parent, 100);
    let events: Vec<_> = page.iter().map(|event| event.event().clone()).collect();
    let known = one.known(&one.room.lookup(&events));
    let change = one.room.fill_history(position, parent, &page, &known).unwrap();
    assert_eq!(change.events.len(), 4, "down to the end of the first stay");
    one.store(&change);
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
}

#[test]
fn history_from_before_the_join_goes_below_zero() {
    let (hub, mut one) = pair();
    let join = one.timeline()[0].clone();
    let page = hub.backfill(&join.prev_events()[0], 100);
    let change = one.room.fill_history(0, &join.prev_events()[0], &page, &Known::default()).unwrap();
    let positions: Vec<_> = change.events.iter().map(|placed| placed.position).collect();
    assert_eq!(positions, [Some(-4), Some(-3), Some(-2), Some(-1)]);
    assert!(change.events.iter().all(|placed| !placed.sets_state));
    one.store(&change);
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()));
    let elsewhere = one.room.fill_history(-4, &join.prev_events()[0], &page[..1], &Known::default());
    assert!(matches!(elsewhere, Err(Refusal::Unfit(_))), "not what was asked for");
}

#[test]
fn an_answer_to_another_join_is_refused() {
    let mut hub = Server::hub("public");
    let mut one = Server::new("one.example");
    let (mut answer, _) = hub.answer_join(&one.join_lpdu(BOB));
    answer.lpdu = one.join_lpdu("@bert:one.example");
    assert!(matches!(one.room.join(answer, &Known::default()), Err(Refusal::Unfit(_))));
}

#[test]
fn a_join_that_its_state_forbids_is_refused() {
    let mut hub = Server::hub("public");
    let mut one = Server::new("one.example");
    let (mut answer, _) = hub.answer_join(&one.join_lpdu(BOB));
    let closed = hub.send(template(ALICE, "m.room.join_rules", Some(""), json!({ "join_rule": "invite" }))).unwrap();
    answer.state.retain(|event| event.event().event_type() != "m.room.join_rules");
    answer.state.push(verified(&closed));
    assert!(matches!(one.room.join(answer, &Known::default()), Err(Refusal::Forbidden(_))));
}

#[test]
fn state_that_is_none_is_refused() {
    let mut hub = Server::hub("public");
    let mut one = Server::new("one.example");
    let message = hub.send(message(ALICE, "hello")).unwrap();
    let (mut answer, _) = hub.answer_join(&one.join_lpdu(BOB));
    answer.state.push(verified(&message));
    assert!(matches!(one.room.join(answer, &Known::default()), Err(Refusal::Unsound(_))));
}

#[test]
fn state_that_its_auth_events_do_not_allow_is_refused() {
    let mut hub = Server::hub("public");
    let mut one = Server::new("one.example");
    let (mut answer, _) = hub.answer_join(&one.join_lpdu(BOB));
    let create = hub.timeline()[0].event_id().clone();
    let head = hub.timeline()[3].event_id().clone();
    let levels = template("@mallory:hub.example", "m.room.power_levels", Some(""), json!({ "users": {} }));
    let forged = levels.into_pdu(hub.room.version(), &[create], &[head], &hub.me.name, &hub.me.key).unwrap();
    answer.state.push(verified(&forged));
    let refused = one.room.join(answer, &Known::default());
    let Err(Refusal::Unsound(fault)) = refused else { panic!("{refused:?}") };
    assert_eq!(fault.event_id, *forged.event_id());
    assert!(matches!(fault.kind, FaultKind::UnauthorisedState(_)));
}

#[test]
fn state_without_its_auth_events_is_refused() {
    let mut hub = Server::hub("public");
    let mut one = Server::new("one.example");
    let (mut answer, _) = hub.answer_join(&one.join_lpdu(BOB));
    let is_create = |event: &Verified| event.event().event_type() == "m.room.create";
    answer.state.retain(|event| !is_create(event));
    answer.auth_chain.retain(|event| !is_create(event));
    assert!(one.room.join(answer, &Known::default()).is_err());
}

#[test]
fn a_gap_is_bridged_only_by_state_that_holds() {
    let (mut hub, mut one) = pair();
    hub.send(template(ALICE, "m.room.topic", Some(""), json!({ "topic": "lost" }))).unwrap();
    let last = hub.send(message(ALICE, "after")).unwrap();
    one.receive(&last);
    let state = hub.state_events();
    let chain: Vec<_> = hub.timeline().iter().filter(|event| event.is_state()).map(verified).collect();

    let headless: Vec<_> = state.iter().filter(|e| e.event().event_type() != "m.room.create").cloned().collect();
    let known = one.known(&one.room.lookup([]));
    let change = one.room.give_up_gap(&headless, &[], &known);
    assert!(change.faults.iter().any(|fault| matches!(fault.kind, FaultKind::UnauthorisedState(_))));
    one.restart();

    let known = one.known(&one.room.lookup([]));
    let change = one.room.give_up_gap(&state, &chain, &known);
    one.store(&change);
    let kinds: Vec<_> = change.faults.into_iter().map(|fault| fault.kind).collect();
    assert_eq!(kinds, [FaultKind::MissingParent(last.prev_events()[0].clone())]);
    assert_eq!(one.room.state().get("m.room.topic", ""), hub.room.state().get("m.room.topic", ""));
    assert_eq!(one.timeline().last(), Some(&last));
}

#[test]
fn state_that_is_not_the_one_that_authorised_the_join_is_noted() {
    let mut hub = Server::hub("public");
    let old = hub.timeline()[2].clone();
    let levels = json!({ "users": { ALICE: 100 }, "kick": 0 });
    let current = hub.send(template(ALICE, "m.room.power_levels", Some(""), levels)).unwrap();
    let mut one = Server::new("one.example");
    let (mut answer, _) = hub.answer_join(&one.join_lpdu(BOB));
    answer.state.iter_mut().filter(|event| *event.event() == current).for_each(|event| *event = verified(&old));
    answer.auth_chain.push(verified(&current));
    let join = answer.event.event().event_id().clone();
    let change = one.room.join(answer, &Known::default()).unwrap();
    let faults: Vec<_> = change.faults.into_iter().map(|fault| (fault.event_id, fault.kind)).collect();
    assert_eq!(faults, [(join, FaultKind::OutdatedAuthEvents)]);
}
