//! LPDUs whose echoes are behind the join by which their server came in again.

use axle_protocol::{Event, EventId};
use axle_room::{Behind, FaultKind};

use crate::world::*;

/// Bob has said something and left, the hub has taken both, and told nothing; then bert has come in.
struct Back {
    hub: Server,
    one: Server,
    said: Event,
    leave: Event,
    /// The join.
    join: EventId,
}

const BERT: &str = "@bert:one.example";

impl Back {
    fn new(swallows: bool) -> Self {
        let (mut hub, mut one) = pair();
        let said = one.lpdu(message(BOB, "goodbye"));
        if !swallows {
            hub.append(&said);
        }
        let leave = one.lpdu(member(BOB, BOB, "leave"));
        hub.append(&leave);
        [&said, &leave].into_iter().for_each(|lpdu| one.room.lpdu_taken(lpdu.lpdu_hash().unwrap()));
        let change = one.room.end_stay(&leave).unwrap();
        one.store(&change);
        for i in 0..3 {
            hub.send(message(ALICE, &i.to_string())).unwrap();
        }
        one.join(&mut hub, BERT);
        let join = one.room.head().unwrap().event_id.clone();
        Self { hub, one, said, leave, join }
    }

    fn look(&mut self, from: &EventId, limit: usize) -> Behind {
        let page = self.hub.backfill(from, limit);
        let known = self.one.known(&self.one.room.lookup(page.iter().map(axle_room::Verified::event)));
        let behind = self.one.room.look_behind(from, &page, &known);
        self.one.store(&behind.change);
        behind
    }

    /// Looks to the end; returns what was settled.
    fn look_all(&mut self, limit: usize) -> Vec<Behind> {
        let mut from = Some(self.join.clone());
        let mut all = Vec::new();
        while let Some(next) = from {
            let behind = self.look(&next, limit);
            from = behind.from.clone();
            all.push(behind);
        }
        all
    }

    /// Bert says something, and it comes back.
    fn goes_on(&mut self) -> Vec<FaultKind> {
        let lpdu = self.one.lpdu(message(BERT, "hello"));
        let event = self.hub.append(&lpdu);
        match self.one.receive(&event) {
            axle_room::Received::Appended(change) => change.faults.into_iter().map(|fault| fault.kind).collect(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn it_is_found_page_by_page_and_nobody_is_blamed() {
    for limit in [2, 3, 100] {
        let mut back = Back::new(false);
        assert_eq!(back.one.room.behind(), back.one.room.head().map(|head| head.position));
        assert_eq!(back.goes_on(), [], "nothing is known of it yet");
        let all = back.look_all(limit);
        let settled: Vec<_> = all.iter().flat_map(|behind| &behind.change.settled).map(|it| it.lpdu_hash).collect();
        assert_eq!(settled, [*back.said.lpdu_hash().unwrap()]);
        assert!(all.iter().all(|behind| behind.change.faults.is_empty()));
        assert_eq!(back.one.room.behind(), None);
        assert!(!back.one.room.awaits_echoes());
        assert_eq!(back.goes_on(), []);
    }
}

#[test]
fn it_is_found_after_a_restart_too() {
    let mut back = Back::new(false);
    back.one.restart();
    back.one.room.note_lpdu(&back.said);
    back.one.room.lpdu_taken(back.said.lpdu_hash().unwrap());
    assert_eq!(back.goes_on(), []);
    assert!(back.one.room.behind().is_some());
    back.look_all(100);
    assert!(!back.one.room.awaits_echoes());
}

#[test]
fn what_is_not_there_was_left_out() {
    let mut back = Back::new(true);
    assert_eq!(back.goes_on(), []);
    let faults: Vec<_> = back.look_all(2).into_iter().flat_map(|behind| behind.change.faults).collect();
    let kinds: Vec<_> = faults.into_iter().map(|fault| fault.kind).collect();
    assert_eq!(kinds, [FaultKind::SkippedLpdu(back.said.event_id().clone())]);
    assert_eq!(back.one.room.behind(), None);
    assert_eq!(back.goes_on(), [], "once is enough");
}

#[test]
fn a_hub_that_tells_nothing_ends_the_search_without_proof() {
    let mut back = Back::new(true);
    let from = back.join.clone();
    let nothing = back.one.room.look_behind(&from, &[], &back.one.known(&back.one.room.lookup([])));
    assert_eq!(nothing.from, None);
    let page = back.hub.backfill(&from, 1);
    let same = back.one.room.look_behind(&from, &page, &back.one.known_for(page[0].event()));
    assert_eq!(same.from, None);
    assert_eq!(back.goes_on(), []);
    assert!(back.one.room.behind().is_some());
}

#[test]
fn history_that_a_client_fetches_settles_it() {
    let mut back = Back::new(false);
    let position = back.one.room.head().unwrap().position;
    let page = back.hub.backfill(&back.join, 100);
    let (_, page) = page.split_last().unwrap();
    let parent = page.last().unwrap().event().event_id().clone();
    let known = back.one.known(&back.one.room.lookup(page.iter().map(axle_room::Verified::event)));
    let change = back.one.room.fill_history(position, &parent, page, &known).unwrap();
    assert_eq!(change.events.len(), 5, "down to the end of the first stay");
    assert!(change.settled.iter().any(|settled| Some(&settled.lpdu_hash) == back.said.lpdu_hash()));
    assert!(change.settled.iter().all(|settled| Some(&settled.lpdu_hash) != back.leave.lpdu_hash()));
    back.one.store(&change);
    assert_eq!(back.one.room.behind(), None);
    assert_eq!(ids(&back.one.timeline()), ids(&back.hub.timeline()[4..]));
}
