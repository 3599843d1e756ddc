use axle_protocol::Event;
use axle_protocol::event::Template;
use axle_room::room::gap::MAX_WAITING;
use axle_room::{FaultKind, Filled, Received, Refusal};

use crate::world::*;

fn say(hub: &mut Server, count: usize) -> Vec<Event> {
    (0..count).map(|i| hub.send(message(ALICE, &i.to_string())).unwrap()).collect()
}

fn missing(received: Received) -> axle_protocol::EventId {
    match received {
        Received::Waiting { missing, .. } => missing,
        other => panic!("{other:?}"),
    }
}

/// Backfills page by page until the gap is closed or stuck.
fn fill(one: &mut Server, hub: &Server, mut from: axle_protocol::EventId, page: usize) -> Filled {
    loop {
        let events = hub.backfill(&from, page);
        let bare: Vec<_> = events.iter().map(|event| event.event().clone()).collect();
        let known = one.known(&one.room.lookup(&bare));
        let filled = one.room.fill_gap(&events, &known);
        let (Filled::Closed(change) | Filled::Missing { change, .. } | Filled::Stuck { change, .. }) = &filled;
        one.store(change);
        match filled {
            Filled::Missing { missing, .. } => from = missing,
            done => return done,
        }
    }
}

#[test]
fn what_is_lost_is_fetched_page_by_page() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 30);
    let from = missing(one.receive(&events[29]));
    assert_eq!(from, *events[28].event_id());
    assert!(matches!(fill(&mut one, &hub, from, 7), Filled::Closed(_)));
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
    assert_eq!(one.room.waiting(), 0);
}

#[test]
fn what_comes_during_a_gap_waits_and_survives_a_restart() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 6);
    for event in &events[2..5] {
        assert_eq!(missing(one.receive(event)), *events[1].event_id());
    }
    assert!(matches!(one.receive(&events[3]), Received::Duplicate));
    one.restart();
    assert_eq!(one.room.waiting(), 3);
    let known = one.known(&one.room.lookup([]));
    let from = one.room.missing_parent(&known).unwrap();
    assert!(matches!(fill(&mut one, &hub, from, 50), Filled::Closed(_)));
    one.receive(&events[5]);
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
}

#[test]
fn a_late_event_closes_its_gap_by_itself() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 4);
    for i in [3, 1, 2] {
        missing(one.receive(&events[i]));
    }
    let Received::Appended(change) = one.receive(&events[0]) else { panic!() };
    assert_eq!(change.events.len(), 4);
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]), "parents before children");
}

#[test]
fn events_that_share_a_parent_are_taken_in_order_of_arrival() {
    let (hub, mut one) = pair();
    let head = hub.room.head().unwrap().event_id.clone();
    let forks: Vec<_> = (0..5)
        .map(|i| {
            let template: Template = message(ALICE, &i.to_string());
            let auth_events = template.select_auth_events(hub.room.state());
            let parents = std::slice::from_ref(&head);
            template.into_pdu(hub.room.version(), &auth_events, parents, &hub.me.name, &hub.me.key).unwrap()
        })
        .collect();
    for fork in &forks {
        assert!(matches!(one.receive(fork), Received::Appended(_)));
    }
    let template = message(ALICE, "merge");
    let auth_events = template.select_auth_events(hub.room.state());
    let merge = template.into_pdu(hub.room.version(), &auth_events, &ids(&forks), &hub.me.name, &hub.me.key).unwrap();
    assert!(matches!(one.receive(&merge), Received::Appended(_)), "several parents");
    assert_eq!(ids(&one.timeline()[1..6]), ids(&forks));
}

#[test]
fn a_parent_from_before_our_join_is_not_waited_for() {
    let mut hub = Server::hub("public");
    let events = say(&mut hub, 4);
    let mut one = Server::new("one.example");
    one.join(&mut hub, BOB);
    let fork = |parent: &Event| {
        let template = message(ALICE, &format!("beside {}", parent.event_id()));
        let auth_events = template.select_auth_events(hub.room.state());
        let parents = [parent.event_id().clone()];
        template.into_pdu(hub.room.version(), &auth_events, &parents, &hub.me.name, &hub.me.key).unwrap()
    };
    let beside = fork(&events[3]);
    assert!(matches!(one.receive(&beside), Received::Appended(_)), "it shares the parent of our join");
    let older = fork(&events[1]);
    let from = missing(one.receive(&older));
    let Filled::Closed(change) = fill(&mut one, &hub, from, 1) else { panic!() };
    assert!(change.faults.is_empty());
    assert_eq!(ids(&one.timeline()[1..]), ids(&[beside, older]), "nothing of the history came after our join");
}

#[test]
fn a_gap_that_cannot_be_filled_is_marked() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 5);
    let from = missing(one.receive(&events[2]));
    missing(one.receive(&events[4]));
    let known = one.known(&one.room.lookup([]));
    let Filled::Stuck { missing, .. } = one.room.fill_gap(&[], &known) else { panic!() };
    assert_eq!(missing, from);
    let change = one.room.give_up_gap(&[], &[], &known);
    one.store(&change);
    let faults: Vec<_> = change.faults.into_iter().map(|fault| (fault.event_id, fault.kind)).collect();
    let mark = |event: usize, parent: usize| {
        (events[event].event_id().clone(), FaultKind::MissingParent(events[parent].event_id().clone()))
    };
    assert_eq!(faults, [mark(2, 1), mark(4, 3)]);
    assert_eq!(ids(&one.timeline()[1..]), ids(&[events[2].clone(), events[4].clone()]));
    let next = say(&mut hub, 1);
    assert!(matches!(one.receive(&next[0]), Received::Appended(_)), "the room goes on");
}

#[test]
fn what_waits_is_bounded() {
    let (mut hub, mut one) = pair();
    let lost = say(&mut hub, 1);
    let child = |i: usize| {
        let template = message(ALICE, &i.to_string());
        let auth_events = template.select_auth_events(hub.room.state());
        let parents = [lost[0].event_id().clone()];
        template.into_pdu(hub.room.version(), &auth_events, &parents, &hub.me.name, &hub.me.key).unwrap()
    };
    let known = Default::default();
    for i in 0..MAX_WAITING {
        one.room.receive(&verified(&child(i)), &name(HUB), &known);
    }
    let last = one.room.receive(&verified(&child(MAX_WAITING)), &name(HUB), &known);
    assert!(matches!(last, Received::Refused(Refusal::Busy)));
}
