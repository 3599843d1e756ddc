//! Leaves that are taken before the hub answers.

use axle_mls::Layering;
use axle_protocol::Event;
use axle_protocol::auth::Membership;
use axle_room::{FaultKind, Received, Refusal};
use serde_json::json;

use crate::groups::{DAN, World};
use crate::world::*;

/// Bob and bert of a server in a room; bob has said something and left, and the hub has not answered to either.
struct Left {
    hub: Server,
    one: Server,
    said: Event,
    leave: Event,
}

impl Left {
    fn new() -> Self {
        let (hub, mut one) = pair();
        let said = one.lpdu(message(BOB, "is anybody there?"));
        let leave = one.lpdu(member(BOB, BOB, "leave"));
        Self { hub, one, said, leave }
    }

    fn leave_early(&mut self) {
        let change = self.one.room.leave_early(&self.leave).unwrap();
        self.one.store(&change);
    }

    fn membership(&self) -> Membership {
        self.one.room.state().membership(BOB)
    }
}

fn appended(received: Received) -> Vec<FaultKind> {
    match received {
        Received::Appended(change) => change.faults.into_iter().map(|fault| fault.kind).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_sent_before_it_is_taken_when_it_comes_back() {
    for restarts in [false, true] {
        let mut left = Left::new();
        left.leave_early();
        assert_eq!(left.membership(), Membership::Leave);
        if restarts {
            left.one.restart();
            [&left.said, &left.leave].into_iter().for_each(|lpdu| left.one.room.note_lpdu(lpdu));
        }
        for event in [left.hub.append(&left.said), left.hub.append(&left.leave)] {
            assert_eq!(appended(left.one.receive(&event)), []);
        }
        assert_eq!(ids(&left.one.timeline()), ids(&left.hub.timeline()[4..]));
        let now = |server: &Server| server.room.state().get("m.room.member", BOB).cloned();
        assert_eq!(now(&left.one), now(&left.hub));
        assert!(!left.one.room.awaits_echoes());
    }
}

#[test]
fn it_does_not_undo_that_the_user_was_put_out() {
    let mut left = Left::new();
    let ban = left.hub.send(member(ALICE, BOB, "ban")).unwrap();
    left.one.receive(&ban);
    assert!(left.one.room.leave_early(&left.leave).unwrap().is_empty());
    assert_eq!(left.membership(), Membership::Ban);
}

#[test]
fn one_that_came_back_or_was_refused_changes_nothing() {
    let mut left = Left::new();
    left.one.room.lpdu_refused(left.leave.lpdu_hash().unwrap());
    assert!(left.one.room.leave_early(&left.leave).unwrap().is_empty());
    assert_eq!(left.membership(), Membership::Join);
}

/// The hub put the user out before the leave came, refuses it therefore, and tells the reason later.
#[test]
fn one_that_was_refused_counts_until_the_reason_comes() {
    for restarts in [false, true] {
        let mut left = Left::new();
        let other = left.one.lpdu(member("@bert:one.example", "@bert:one.example", "join"));
        let other = left.hub.append(&other);
        left.one.receive(&other);
        let said = left.hub.append(&left.said);
        let ban = left.hub.send(member(ALICE, BOB, "ban")).unwrap();
        left.leave_early();
        left.one.room.lpdu_taken(left.said.lpdu_hash().unwrap());
        left.one.room.lpdu_refused(left.leave.lpdu_hash().unwrap());
        if restarts {
            left.one.restart();
            left.one.room.note_lpdu(&left.said);
        }
        assert_eq!(appended(left.one.receive(&said)), []);
        assert_eq!(appended(left.one.receive(&ban)), []);
        assert_eq!(left.membership(), Membership::Ban);
    }
}

/// The hub has not heard of the leave, or refuses it, and somebody lets a device of theirs into the room's group.
#[test]
fn a_commit_may_add_who_has_left_early() {
    let all = [Layering::OnTop, Layering::Bound].map(|layering| [(layering, false), (layering, true)]);
    for (layering, is_refused) in all.into_iter().flatten() {
        let mut world = World::without_group(layering);
        let leave = world.one.lpdu(member(DAN, DAN, "leave"));
        let change = world.one.room.leave_early(&leave).unwrap();
        world.one.store(&change);
        if is_refused {
            world.one.restart();
        }
        for commit in world.found() {
            assert_eq!(appended(world.one.receive(&commit)), []);
        }
    }
}

#[test]
fn who_has_a_leave_on_its_way_is_leaving() {
    let mut left = Left::new();
    let (bob, bert) = (user(BOB), user("@bert:one.example"));
    assert!(left.one.room.is_leaving(&bob) && !left.one.room.is_leaving(&bert));
    let events = [left.hub.append(&left.said), left.hub.append(&left.leave)];
    events.iter().for_each(|event| _ = left.one.receive(event));
    assert!(!left.one.room.is_leaving(&bob));
}

#[test]
fn a_join_on_its_way_undoes_it() {
    let mut left = Left::new();
    left.one.lpdu(member(BOB, BOB, "join"));
    assert!(matches!(left.one.room.leave_early(&left.leave), Err(Refusal::Busy)));
    assert_eq!(left.membership(), Membership::Join);
}

/// What the hub has taken and not sent yet is in the part of its log that nobody gets by joining again.
#[test]
fn a_hub_is_not_blamed_for_what_is_behind_the_next_join() {
    let (mut hub, mut one) = pair();
    let said = one.lpdu(message(BOB, "is anybody there?"));
    hub.append(&said);
    one.room.lpdu_taken(said.lpdu_hash().unwrap());
    let renamed = json!({ "membership": "join", "displayname": "Bob" });
    let renamed = one.lpdu(template(BOB, "m.room.member", Some(BOB), renamed));
    hub.append(&renamed);
    let leave = one.lpdu(member(BOB, BOB, "leave"));
    let change = one.room.leave_early(&leave).unwrap();
    one.store(&change);
    let (answer, _) = hub.answer_join(&one.join_lpdu("@bert:one.example"));
    let events: Vec<_> = answer.state.iter().chain(&answer.auth_chain).chain([&answer.event]).collect();
    let known = one.known(&one.room.lookup(events.into_iter().map(|event| event.event())));
    let change = one.room.join(answer, &known).unwrap();
    assert!(change.settled.iter().any(|settled| Some(&settled.lpdu_hash) == renamed.lpdu_hash()));
    assert_eq!(change.faults, []);
}
