use axle_protocol::event::Template;
use axle_protocol::{Event, EventId};
use axle_room::room::gap::MAX_WAITING;
use axle_room::{FaultKind, Filled, Received, Refusal, Status, Verified};

use crate::world::*;

fn say(hub: &mut Server, count: usize) -> Vec<Event> {
    (0..count).map(|i| hub.send(message(ALICE, &i.to_string())).unwrap()).collect()
}

fn waits(received: Received) -> EventId {
    match received {
        Received::Waiting { from, .. } => from,
        other => panic!("{other:?}"),
    }
}

/// One backfill, as the hub answers it.
fn fill_once(one: &mut Server, from: &EventId, events: &[Verified]) -> Filled {
    let known = one.known(&one.room.lookup(events.iter().map(Verified::event)));
    let filled = one.room.fill_gap(from, events, &known);
    let (Filled::Closed(change) | Filled::Missing { change, .. } | Filled::Stuck(change)) = &filled;
    one.store(change);
    filled
}

/// Backfills page by page until the gap is closed or stuck.
fn fill(one: &mut Server, hub: &Server, mut from: EventId, page: usize) -> Filled {
    loop {
        match fill_once(one, &from, &hub.backfill(&from, page)) {
            Filled::Missing { from: next, .. } => from = next,
            done => return done,
        }
    }
}

fn give_up(one: &mut Server, state: &[Verified]) -> Vec<(EventId, FaultKind)> {
    let known = one.known(&one.room.lookup([]));
    let change = one.room.give_up_gap(state, &[], &known);
    one.store(&change);
    change.faults.into_iter().map(|fault| (fault.event_id, fault.kind)).collect()
}

/// An event beside what follows this parent.
fn fork(hub: &Server, parent: &Event) -> Event {
    let template = message(ALICE, &format!("beside {}", parent.event_id()));
    let auth_events = template.select_auth_events(hub.room.state());
    let parents = [parent.event_id().clone()];
    template.into_pdu(hub.room.version(), &auth_events, &parents, &hub.me.name, &hub.me.key).unwrap()
}

#[test]
fn what_is_lost_is_fetched_page_by_page() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 30);
    let from = waits(one.receive(&events[29]));
    assert_eq!(from, *events[29].event_id());
    assert!(matches!(fill(&mut one, &hub, from, 7), Filled::Closed(_)));
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
    assert_eq!(one.room.waiting(), 0);
}

#[test]
fn what_comes_during_a_gap_waits_and_survives_a_restart() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 6);
    for event in &events[2..5] {
        assert_eq!(waits(one.receive(event)), *events[2].event_id());
    }
    assert!(matches!(one.receive(&events[3]), Received::Duplicate));
    one.restart();
    assert_eq!(one.room.waiting(), 3);
    let from = one.room.backfill_from(&Default::default()).unwrap();
    assert!(matches!(fill(&mut one, &hub, from, 50), Filled::Closed(_)));
    one.receive(&events[5]);
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
}

#[test]
fn a_late_event_closes_its_gap_by_itself() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 4);
    for i in [3, 1, 2] {
        waits(one.receive(&events[i]));
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
fn an_event_beside_our_join_comes_after_it_if_the_hub_says_so() {
    let mut hub = Server::hub("public");
    let events = say(&mut hub, 4);
    let mut one = Server::new("one.example");
    one.join(&mut hub, BOB);
    let join = one.timeline()[0].clone();
    let lost = fork(&hub, &events[2]);
    let beside = fork(&hub, &events[1]);
    let from = waits(one.receive(&beside));
    let order = [&events[3], &join, &lost, &beside].map(verified);
    let Filled::Missing { from, .. } = fill_once(&mut one, &from, &order) else { panic!() };
    assert_eq!(from, *events[2].event_id(), "it must be older than our join, or missing");
    assert!(matches!(fill(&mut one, &hub, from, 50), Filled::Closed(_)));
    assert_eq!(ids(&one.timeline()), ids(&[join, lost, beside]));
}

#[test]
fn what_is_older_than_our_stay_is_history() {
    for page in [2, 50] {
        let mut hub = Server::hub("public");
        let mut one = Server::new("one.example");
        let events = say(&mut hub, 4);
        one.join(&mut hub, BOB);
        // As after a first join whose answer was lost: the hub's queue had them for us.
        for event in &events[1..3] {
            let from = waits(one.receive(event));
            assert!(matches!(fill(&mut one, &hub, from, page), Filled::Closed(_)));
            assert_eq!(one.log.last().unwrap().status, Status::Outlier);
            assert!(matches!(one.receive(event), Received::Duplicate));
        }
        assert_eq!(one.timeline().len(), 1);
        let next = say(&mut hub, 1);
        assert!(matches!(one.receive(&next[0]), Received::Appended(_)));
    }
}

#[test]
fn state_that_does_not_have_us_shows_that_an_event_is_history() {
    let mut hub = Server::hub("public");
    let events = say(&mut hub, 2);
    let before = hub.state_events();
    let mut one = Server::new("one.example");
    one.join(&mut hub, BOB);
    let from = waits(one.receive(&events[1]));
    assert!(matches!(fill_once(&mut one, &from, &[]), Filled::Stuck(_)));
    assert_eq!(give_up(&mut one, &before), []);
    assert_eq!((one.timeline().len(), one.room.waiting()), (1, 0));
    assert!(one.room.is_participating());
}

#[test]
fn an_answer_that_comes_too_late_is_not_taken_for_another() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 6);
    let from = waits(one.receive(&events[1]));
    let late = hub.backfill(&from, 50);
    one.receive(&events[0]);
    waits(one.receive(&events[5]));
    let Filled::Missing { from: next, .. } = fill_once(&mut one, &from, &late) else { panic!() };
    assert_eq!(next, *events[5].event_id());
    assert!(matches!(fill(&mut one, &hub, next, 50), Filled::Closed(_)));
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
}

#[test]
fn a_gap_that_cannot_be_filled_is_marked() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 5);
    let from = waits(one.receive(&events[2]));
    waits(one.receive(&events[4]));
    assert!(matches!(fill_once(&mut one, &from, &[]), Filled::Stuck(_)));
    let mark = |event: usize, parent: usize| {
        [(events[event].event_id().clone(), FaultKind::MissingParent(events[parent].event_id().clone()))]
    };
    assert_eq!(give_up(&mut one, &[]), mark(2, 1));
    assert_eq!(
        one.room.backfill_from(&Default::default()).as_ref(),
        Some(events[4].event_id()),
        "the next gap is another one"
    );
    assert_eq!(give_up(&mut one, &[]), mark(4, 3));
    assert_eq!(ids(&one.timeline()[1..]), ids(&[events[2].clone(), events[4].clone()]));
    let next = say(&mut hub, 1);
    assert!(matches!(one.receive(&next[0]), Received::Appended(_)), "the room goes on");
}

#[test]
fn what_a_hub_leaves_out_of_a_backfill_is_marked_and_the_rest_placed() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 5);
    let from = waits(one.receive(&events[4]));
    let page: Vec<_> = hub.backfill(&from, 50).into_iter().filter(|event| *event.event() != events[1]).collect();
    let Filled::Missing { from, .. } = fill_once(&mut one, &from, &page) else { panic!() };
    assert_eq!(from, *events[1].event_id());
    assert!(matches!(fill_once(&mut one, &from, &[]), Filled::Stuck(_)));
    let mark = (events[2].event_id().clone(), FaultKind::MissingParent(events[1].event_id().clone()));
    assert_eq!(give_up(&mut one, &[]), [mark]);
    let have = [&events[0], &events[2], &events[3], &events[4]].map(|event| event.event_id().clone());
    assert_eq!(ids(&one.timeline()[1..]), have);
}

#[test]
fn what_a_hub_leaves_out_and_gives_when_asked_gets_its_place() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 5);
    let from = waits(one.receive(&events[4]));
    let page: Vec<_> = hub.backfill(&from, 50).into_iter().filter(|event| *event.event() != events[1]).collect();
    let Filled::Missing { from, .. } = fill_once(&mut one, &from, &page) else { panic!() };
    assert!(matches!(fill(&mut one, &hub, from, 50), Filled::Closed(_)));
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
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

#[test]
fn a_page_of_what_waits_already_leads_on() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 6);
    // A hub that sends the newest first, and answers two events at a time.
    events.iter().skip(1).rev().for_each(|event| _ = waits(one.receive(event)));
    let from = one.room.backfill_from(&Default::default()).unwrap();
    assert_eq!(from, *events[5].event_id());
    assert!(matches!(fill(&mut one, &hub, from, 2), Filled::Closed(_)));
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
}

#[test]
fn how_far_the_way_back_went_for_one_event_says_nothing_about_the_next() {
    let (mut hub, mut one) = pair();
    let events = say(&mut hub, 9);
    waits(one.receive(&events[3]));
    waits(one.receive(&events[2]));
    let from = one.room.backfill_from(&Default::default()).unwrap();
    let page = hub.backfill(&from, 2);
    assert!(matches!(fill_once(&mut one, &from, &page), Filled::Missing { .. }), "it leads to what waits already");
    waits(one.receive(&events[8]));
    waits(one.receive(&events[1]));
    assert!(matches!(one.receive(&events[0]), Received::Appended(_)));
    let from = one.room.backfill_from(&Default::default()).unwrap();
    assert_eq!(from, *events[8].event_id());
    assert!(matches!(fill(&mut one, &hub, from, 2), Filled::Closed(_)));
    assert_eq!(ids(&one.timeline()), ids(&hub.timeline()[4..]));
}
