//! What only the bound layering has: commits that name the room's events, and proposals that wait at the hub.

use axle_mls::Layering;
use axle_mls::event::RoomBinding;
use axle_mls::hub::Refusal;
use axle_mls::limits::MAX_QUEUED_PROPOSALS;
use axle_mls::member::CommitPlan;

use crate::common::sim::Sim;
use crate::common::{ALICE, BOB, CAROL, user};

fn sim(names: &[&str]) -> Sim {
    Sim::with(Layering::Bound, names)
}

/// What comes of an update of Alice's device that is bound like this.
fn bound_to(sim: &mut Sim, binding: RoomBinding) -> Refusal {
    let before = sim.hub().to_bytes().unwrap();
    let plan = CommitPlan { update: true, binding, ..sim.plan(0, &[], &[]) };
    let pending = sim.commit(0, plan);
    let refusal = sim.submit_or_discard(0, &pending).unwrap_err();
    assert_eq!(sim.hub().to_bytes().unwrap(), before);
    refusal
}

#[test]
fn a_commit_names_exactly_the_auth_events() {
    let mut sim = sim(&[ALICE, BOB]);
    let right = sim.room.binding(&user(ALICE), []);
    let expected: Vec<_> = right.auth_events.iter().cloned().collect();
    let mut less = right.clone();
    less.auth_events.pop_last();
    assert_eq!(bound_to(&mut sim, less), Refusal::WrongAuthEvents(expected.clone()));
    let mut more = right.clone();
    more.auth_events.insert(sim.room.event_id());
    assert_eq!(bound_to(&mut sim, more), Refusal::WrongAuthEvents(expected));
    let lonely = RoomBinding { member_event: Some([1; 32]), ..right };
    assert_eq!(bound_to(&mut sim, lonely), Refusal::WrongMemberEvent);
    sim.update(0).unwrap();
}

#[test]
fn an_add_names_the_join_it_follows() {
    let mut sim = sim(&[ALICE]);
    let bob = sim.device(BOB, "A");
    let binding = sim.room.binding(&user(ALICE), []);
    let plan = CommitPlan { binding, ..sim.plan(0, &[bob], &[]) };
    let pending = sim.commit(0, plan);
    assert_eq!(sim.submit_or_discard(0, &pending).unwrap_err().code(), "wrong_auth_events");
    // Bob leaves and joins: the commit was made under the first join.
    let plan = sim.plan(0, &[bob], &[]);
    sim.room.part(&user(BOB));
    sim.room.join(&user(BOB));
    let pending = sim.commit(0, plan);
    assert_eq!(sim.submit_or_discard(0, &pending).unwrap_err().code(), "wrong_auth_events");
    sim.add(0, &[bob]).unwrap();
}

#[test]
fn an_unbound_commit_is_refused_and_members_see_what_others_are_bound_to() {
    let mut unbound = sim(&[ALICE, BOB]);
    let kick = unbound.credential(1);
    // A device that takes the room for one without layering.
    let id = unbound.id.clone();
    unbound.device(CAROL, "A");
    unbound.layering = Layering::OnTop;
    let pending = unbound.external_commit(2);
    assert!(matches!(unbound.check(2, &pending.content), Err(Refusal::Unbound)));
    unbound.layering = Layering::Bound;
    unbound.member(2).discard(&id).unwrap();

    let hash = unbound.room.pair(&user(BOB), false);
    let expected = unbound.room.binding(&user(ALICE), []);
    let plan = unbound.plan(0, &[], &[kick]);
    let pending = unbound.commit(0, plan);
    let carol = unbound.device(CAROL, "B");
    unbound.append(0, &pending).unwrap();
    let seen = unbound.catch_up_one(0);
    assert_eq!(seen[0].binding.as_ref(), Some(&expected));
    assert_eq!(expected.member_event, Some(hash));
    assert!(unbound.catch_up_one(1)[0].removed);
    assert!(unbound.catch_up_one(carol).is_empty());
}

#[test]
fn a_kick_and_its_removal_are_one() {
    let mut sim = sim(&[ALICE, BOB, CAROL]);
    let bob = sim.credential(1);
    // The commit that waits for the kick is no good without it, nor with another.
    sim.room.pair(&user(BOB), false);
    let plan = sim.plan(0, &[], &[bob]);
    let pending = sim.commit(0, plan);
    let paired = sim.room.paired.take();
    assert_eq!(sim.check(0, &pending.content).unwrap_err(), Refusal::WrongMemberEvent);
    sim.room.paired = paired;
    sim.room.paired.as_mut().unwrap().lpdu_hash[0] ^= 1;
    assert_eq!(sim.check(0, &pending.content).unwrap_err(), Refusal::WrongMemberEvent);
    sim.room.paired.as_mut().unwrap().lpdu_hash[0] ^= 1;
    sim.submit(0, &pending).unwrap();
    sim.assert_agreement();
}

#[test]
fn a_user_joins_the_room_and_the_group_at_once() {
    let mut sim = sim(&[ALICE, BOB]);
    let carol = sim.device(CAROL, "A");
    sim.room.part(&user(CAROL));
    sim.room.pair(&user(CAROL), true);
    sim.join_external(carol).unwrap();
    sim.assert_agreement();
    sim.talk(carol, &[0, 1]);
}

#[test]
fn who_leaves_says_so_to_the_group_and_others_have_to_commit_it() {
    let mut sim = sim(&[ALICE, BOB, CAROL]);
    let id = sim.id.clone();
    sim.room.pair(&user(BOB), false);
    let binding = sim.room.binding(&user(BOB), []);
    let leave = sim.member(1).leave(&id, &binding).unwrap();
    sim.queue(1, &leave).unwrap();
    sim.room.paired = None;
    let plan = CommitPlan { queued: vec![], update: true, ..sim.plan(0, &[], &[]) };
    let pending = sim.commit(0, plan);
    assert_eq!(sim.submit_or_discard(0, &pending).unwrap_err().code(), "removal_due");
    // To remove it by itself is not enough: what is queued has to be committed.
    let bob = sim.credential(1);
    let plan = CommitPlan { queued: vec![], ..sim.plan(0, &[], std::slice::from_ref(&bob)) };
    let pending = sim.commit(0, plan);
    let refusal = sim.submit_or_discard(0, &pending).unwrap_err();
    assert_eq!(refusal, Refusal::ProposalsMissing(vec![leave.message]));
    let merged = sim.update(2).unwrap();
    assert_eq!(merged.changes.removed, [bob]);
    sim.assert_agreement();
    assert!(sim.hub().queued().is_empty());
}

#[test]
fn nobody_takes_another_s_leave_for_its_own() {
    let mut sim = sim(&[ALICE, BOB, CAROL]);
    let id = sim.id.clone();
    let binding = sim.room.binding(&user(BOB), []);
    let carol = sim.credential(2);
    let proposal = sim.member(1).propose_remove(&id, &carol, &binding).unwrap();
    assert_eq!(sim.queue(1, &proposal).unwrap_err(), Refusal::RemovalNotAllowed(Box::new(carol)));
    let leave = sim.member(1).leave(&id, &binding).unwrap();
    assert_eq!(sim.queue(0, &leave).unwrap_err(), Refusal::WrongSender(user(BOB)));
}

#[test]
fn the_hub_proposes_to_remove_who_was_kicked_without_a_commit() {
    let mut sim = sim(&[ALICE, BOB, CAROL]);
    let laptop = sim.device(BOB, "LAPTOP");
    sim.add(1, &[laptop]).unwrap();
    sim.room.part(&user(BOB));
    assert_eq!(sim.queue_removals(), 2);
    assert_eq!(sim.queue_removals(), 0);
    let restored = axle_mls::HubGroup::from_bytes(&sim.hub().to_bytes().unwrap()).unwrap();
    sim.replace_hub(restored);
    let merged = sim.update(2).unwrap();
    assert_eq!(merged.changes.removed.len(), 2);
    sim.assert_agreement();
    sim.talk(0, &[2]);
}

#[test]
fn who_comes_back_in_time_is_not_removed() {
    let mut sim = sim(&[ALICE, BOB, CAROL]);
    sim.room.part(&user(BOB));
    assert_eq!(sim.queue_removals(), 1);
    sim.room.join(&user(BOB));
    // The removal waits, and is not shown any more: a commit with it is refused, one without it taken.
    let (waiting, plan) = (sim.hub().queued(), sim.plan(0, &[], &[]));
    assert!(waiting.len() == 1 && plan.queued.is_empty());
    let pending = sim.commit(0, CommitPlan { queued: waiting, ..plan });
    assert_eq!(sim.submit_or_discard(0, &pending).unwrap_err().code(), "removal_not_allowed");
    let room = std::mem::take(&mut sim.room);
    sim.hub_mut().drop_forbidden(&room).unwrap();
    sim.room = room;
    sim.update(0).unwrap();
    sim.assert_agreement();
    sim.talk(1, &[0, 2]);
}

#[test]
fn while_a_removal_is_due_no_device_joins_by_itself() {
    let mut sim = sim(&[ALICE, BOB]);
    let laptop = sim.device(ALICE, "LAPTOP");
    sim.room.part(&user(BOB));
    sim.queue_removals();
    assert_eq!(sim.join_external(laptop).unwrap_err().code(), "removal_due");
    sim.update(0).unwrap();
    sim.join_external(laptop).unwrap();
    sim.assert_agreement();
}

#[test]
fn updates_wait_and_are_committed_except_the_committer_s_own() {
    let mut sim = sim(&[ALICE, BOB, CAROL]);
    let id = sim.id.clone();
    for device in 0..3 {
        let binding = sim.room.binding(&sim.user_of(device), []);
        let update = sim.member(device).propose_update(&id, &binding).unwrap();
        sim.queue(device, &update).unwrap();
    }
    let plan = sim.plan(1, &[], &[]);
    assert_eq!(plan.queued.len(), 3);
    let pending = sim.commit(1, plan);
    assert_eq!(pending.content.proposals.len(), 2);
    sim.submit(1, &pending).unwrap();
    sim.assert_agreement();
    sim.talk(0, &[1, 2]);
    sim.talk(2, &[0, 1]);
}

#[test]
fn a_newer_update_takes_the_place_of_an_older_and_a_removal_that_of_both() {
    let mut sim = sim(&[ALICE, BOB, CAROL]);
    let (id, binding) = (sim.id.clone(), sim.room.binding(&user(BOB), []));
    for _ in 0..3 {
        let update = sim.member(1).propose_update(&id, &binding).unwrap();
        sim.queue(1, &update).unwrap();
        assert_eq!(sim.hub().queued(), [update.message]);
    }
    sim.room.part(&user(BOB));
    sim.queue_removals();
    assert_eq!(sim.hub().queued().len(), 1);
    sim.update(0).unwrap();
    sim.assert_agreement();
}

#[test]
fn proposals_that_stand_against_each_other_do_not_both_wait() {
    let mut sim = sim(&[ALICE, BOB]);
    let id = sim.id.clone();
    let carol = sim.device(CAROL, "A");
    let (package, other) = (sim.key_package(carol), sim.key_package(carol));
    let binding = sim.room.binding(&user(ALICE), [&user(CAROL)]);
    let first = sim.member(0).propose_add(&id, package, &binding).unwrap();
    sim.queue(0, &first).unwrap();
    let binding = sim.room.binding(&user(BOB), [&user(CAROL)]);
    let second = sim.member(1).propose_add(&id, other, &binding).unwrap();
    assert_eq!(sim.queue(1, &second).unwrap_err(), Refusal::ProposalConflict);
    assert_eq!(sim.queue(0, &first).unwrap_err(), Refusal::ProposalConflict);
    // She leaves meanwhile.
    sim.room.part(&user(CAROL));
    let room = std::mem::take(&mut sim.room);
    sim.hub_mut().drop_forbidden(&room).unwrap();
    sim.room = room;
    assert!(sim.hub().queued().is_empty());
    sim.update(1).unwrap();
    sim.assert_agreement();
}

#[test]
fn a_kick_makes_the_kicked_user_s_proposals_void() {
    let mut sim = sim(&[ALICE, BOB, CAROL]);
    let (id, binding) = (sim.id.clone(), sim.room.binding(&user(BOB), []));
    let update = sim.member(1).propose_update(&id, &binding).unwrap();
    sim.queue(1, &update).unwrap();
    let binding = sim.room.binding(&user(CAROL), []);
    let other = sim.member(2).propose_update(&id, &binding).unwrap();
    sim.queue(2, &other).unwrap();
    sim.room.pair(&user(BOB), false);
    let bob = sim.credential(1);
    let plan = sim.plan(0, &[], &[bob]);
    let pending = sim.commit(0, plan);
    assert_eq!(pending.content.proposals, [other.message]);
    sim.submit(0, &pending).unwrap();
    sim.assert_agreement();
}

/// Alice's room with Bob and Carol, whom `by` has proposed to add another device of Bob's.
fn another_of_bobs(by: usize) -> (Sim, Vec<u8>) {
    let mut sim = sim(&[ALICE, BOB, CAROL]);
    let laptop = sim.device(BOB, "LAPTOP");
    let (id, own, package) = (sim.id.clone(), sim.user_of(by), sim.key_package(laptop));
    let binding = sim.room.binding(&own, [&user(BOB)]);
    let proposal = sim.member(by).propose_add(&id, package, &binding).unwrap();
    sim.queue(by, &proposal).unwrap();
    (sim, proposal.message)
}

#[test]
fn who_is_kicked_is_not_added_by_what_waits() {
    for (world_readable, by) in [(false, 2), (true, 2), (false, 1)] {
        let (mut sim, add) = another_of_bobs(by);
        sim.room.world_readable = world_readable;
        let (id, binding) = (sim.id.clone(), sim.room.binding(&user(CAROL), []));
        let update = sim.member(2).propose_update(&id, &binding).unwrap();
        sim.queue(2, &update).unwrap();
        sim.room.pair(&user(BOB), false);
        let bob = sim.credential(1);
        // A commit that takes everything that waits is refused, although nothing that waits may be left out elsewhere.
        let plan = sim.plan(0, &[], std::slice::from_ref(&bob));
        assert_eq!(plan.queued, std::slice::from_ref(&update.message));
        let everything = vec![add.clone(), update.message];
        let pending = sim.commit(0, CommitPlan { queued: everything, ..plan.clone() });
        assert_eq!(sim.submit_or_discard(0, &pending).unwrap_err(), Refusal::NotJoined(user(BOB)));
        let pending = sim.commit(0, plan);
        sim.submit(0, &pending).unwrap();
        sim.assert_agreement();
        assert!(sim.hub().queued().is_empty() && sim.hub().members().count() == 2);
    }
}

#[test]
fn a_kick_leaves_no_device_of_theirs_where_everybody_may_read() {
    let mut sim = sim(&[ALICE, BOB, CAROL]);
    sim.room.world_readable = true;
    let laptop = sim.device(BOB, "LAPTOP");
    sim.add(1, &[laptop]).unwrap();
    let (bob, laptop) = (sim.credential(1), sim.credential(laptop));
    sim.room.pair(&user(BOB), false);
    let plan = sim.plan(0, &[], std::slice::from_ref(&bob));
    let pending = sim.commit(0, plan);
    assert_eq!(sim.submit_or_discard(0, &pending).unwrap_err(), Refusal::RemovalDue(vec![laptop.clone()]));
    let plan = sim.plan(0, &[], &[bob, laptop]);
    let pending = sim.commit(0, plan);
    sim.submit(0, &pending).unwrap();
    sim.assert_agreement();
    // As everybody, they may come back to read.
    sim.join_external(1).unwrap();
    sim.assert_agreement();
}

#[test]
fn what_a_kicked_user_has_proposed_for_others_is_committed() {
    let mut sim = sim(&[ALICE, BOB]);
    let carol = sim.device(CAROL, "A");
    let (id, package) = (sim.id.clone(), sim.key_package(carol));
    let binding = sim.room.binding(&user(BOB), [&user(CAROL)]);
    let proposal = sim.member(1).propose_add(&id, package, &binding).unwrap();
    sim.queue(1, &proposal).unwrap();
    sim.room.pair(&user(BOB), false);
    let bob = sim.credential(1);
    let plan = sim.plan(0, &[], &[bob]);
    assert_eq!(plan.queued, [proposal.message]);
    let pending = sim.commit(0, plan);
    sim.submit(0, &pending).unwrap();
    sim.assert_agreement();
}

#[test]
fn what_waits_for_a_device_that_is_gone_stops_nobody() {
    let (mut sim, add) = another_of_bobs(2);
    let laptop = sim.credential(3);
    sim.room.remove_device(&laptop);
    assert_eq!(sim.hub().queued(), std::slice::from_ref(&add));
    let plan = CommitPlan { update: true, ..sim.plan(0, &[], &[]) };
    let pending = sim.commit(0, CommitPlan { queued: vec![add], ..plan });
    assert_eq!(sim.submit_or_discard(0, &pending).unwrap_err().code(), "device_invalid");
    sim.update(0).unwrap();
    sim.assert_agreement();
}

#[test]
fn the_queue_is_bounded() {
    let mut sim = sim(&[ALICE]);
    let id = sim.id.clone();
    let mut refused = None;
    for n in 0..=MAX_QUEUED_PROPOSALS {
        let device = sim.device(ALICE, &format!("D{n}"));
        let (package, binding) = (sim.key_package(device), sim.room.binding(&user(ALICE), [&user(ALICE)]));
        let proposal = sim.member(0).propose_add(&id, package, &binding).unwrap();
        if let Err(refusal) = sim.queue(0, &proposal) {
            refused = Some((n, refusal));
            break;
        }
    }
    let (queued, refusal) = refused.unwrap();
    assert_eq!(refusal, Refusal::QueueFull);
    assert!(queued > 20, "{queued}");
    let plan = sim.plan(0, &[], &[]);
    let pending = sim.commit(0, plan);
    crate::sizes::assert_fits(&pending.content);
    sim.submit(0, &pending).unwrap();
    sim.assert_agreement();
}

#[test]
fn what_was_checked_before_a_change_is_not_applied_after_it() {
    let mut sim = sim(&[ALICE, BOB]);
    let id = sim.id.clone();
    let plan = CommitPlan { update: true, ..sim.plan(0, &[], &[]) };
    let pending = sim.commit(0, plan);
    let staged = sim.hub().check(&pending.content, &user(ALICE), &sim.room).unwrap();
    let binding = sim.room.binding(&user(BOB), []);
    let update = sim.member(1).propose_update(&id, &binding).unwrap();
    sim.queue(1, &update).unwrap();
    let before = sim.hub().to_bytes().unwrap();
    let event_id = sim.room.event_id();
    assert_eq!(sim.hub_mut().merge(staged, event_id).unwrap_err(), Refusal::Outdated);
    assert_eq!(sim.hub().to_bytes().unwrap(), before);
    assert_eq!(sim.submit_or_discard(0, &pending).unwrap_err().code(), "proposals_missing");
}

#[test]
fn without_layering_proposals_are_inline() {
    let mut sim = Sim::with(Layering::OnTop, &[ALICE, BOB]);
    let id = sim.id.clone();
    let update = sim.member(1).propose_update(&id, &RoomBinding::default()).unwrap();
    assert_eq!(sim.queue(1, &update).unwrap_err(), Refusal::ProposalByReference);
    sim.room.part(&user(BOB));
    assert_eq!(sim.queue_removals(), 0);
    // Somebody who commits by reference all the same.
    sim.room.join(&user(BOB));
    let plan = CommitPlan { queued: vec![update.message], ..sim.plan(0, &[], &[]) };
    let pending = sim.commit(0, plan);
    assert_eq!(sim.submit_or_discard(0, &pending).unwrap_err().code(), "proposal_unknown");
    let plan = CommitPlan { update: true, ..sim.plan(0, &[], &[]) };
    let mut pending = sim.commit(0, plan);
    pending.content.proposals.push(vec![1]);
    assert_eq!(sim.submit_or_discard(0, &pending).unwrap_err(), Refusal::ProposalByReference);
}
