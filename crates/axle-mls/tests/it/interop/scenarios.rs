//! What each implementation goes through, in both layerings. After every commit all devices have the same epoch
//! authenticator (see `World::send`).

use axle_mls::Layering;
use axle_mls::hub::Refusal;

use super::world::{Who, World};
use super::{Change, Implementation};
use crate::common::{ALICE, BOB, CAROL, user};

const DAVE: &str = "@dave:a.test";
const EVE: &str = "@eve:c.test";

/// Ours establish the group; theirs come in by a Welcome and by themselves, commit, race, and go.
pub(super) fn in_a_group_of_ours(layering: Layering, other: &mut dyn Implementation) {
    let mut world = World::new(layering);
    world.sim.names_hub = other.knows_external_senders();
    let alice = world.ours(ALICE, "A");
    let first = world.sim.create_group();
    world.sim.establish(&first).unwrap();
    let bob = world.theirs(other.device(BOB, "A"));
    world.commit(alice, &[bob], &[]).unwrap();
    world.talk(alice);
    world.talk(bob);
    // New keys of each.
    world.commit(bob, &[], &[]).unwrap();
    world.commit(alice, &[], &[]).unwrap();
    world.talk(bob);
    // Theirs add ours.
    let (carol, tablet) = (world.ours(CAROL, "A"), world.ours(CAROL, "TABLET"));
    world.commit(bob, &[carol, tablet], &[]).unwrap();
    world.talk(carol);
    world.talk(bob);
    race(&mut world, alice, bob);
    let laptop = world.theirs(other.device(BOB, "LAPTOP"));
    match layering {
        Layering::Bound => proposals(&mut world, [alice, bob, carol, laptop], other),
        _ => drop(world.commit(bob, &[laptop], &[]).unwrap()),
    }
    world.talk(laptop);
    // Devices that join by themselves, and one that has lost its state.
    let (dave, eve) = (world.ours(DAVE, "A"), world.theirs(other.device(EVE, "A")));
    world.join_external(dave, false).unwrap();
    world.join_external(eve, false).unwrap();
    world.talk(eve);
    world.talk(dave);
    let merged = world.join_external(eve, true).unwrap();
    assert_eq!(merged.changes.removed, [world.credential(eve)]);
    world.talk(eve);
    // Theirs remove ours: Carol has left, and both her devices have to go.
    world.sim.room.part(&user(CAROL));
    world.commit(bob, &[], &[carol, tablet]).unwrap();
    world.talk(bob);
    remove_one(&mut world, bob, dave, other);
    if layering == Layering::Bound {
        leave(&mut world, alice, eve);
    }
    // Ours remove theirs, who read nothing more.
    match layering {
        Layering::Bound => drop(world.sim.room.pair(&user(BOB), false)),
        _ => world.sim.room.part(&user(BOB)),
    }
    world.commit(alice, &[], &[bob, laptop]).unwrap();
    world.talk(alice);
}

/// Theirs establish the group.
pub(super) fn in_a_group_of_theirs(layering: Layering, other: &mut dyn Implementation) {
    let mut world = World::new(layering);
    let alice = world.theirs(other.device(ALICE, "A"));
    world.found(alice);
    let bob = world.ours(BOB, "A");
    world.commit(alice, &[bob], &[]).unwrap();
    world.talk(alice);
    world.talk(bob);
    let carol = world.theirs(other.device(CAROL, "A"));
    world.commit(bob, &[carol], &[]).unwrap();
    world.commit(carol, &[], &[]).unwrap();
    let dave = world.ours(DAVE, "A");
    world.join_external(dave, false).unwrap();
    for who in [alice, bob, carol, dave] {
        world.talk(who);
    }
    // The founder goes.
    world.sim.room.part(&user(ALICE));
    world.commit(dave, &[], &[alice]).unwrap();
    world.talk(carol);
}

/// Both commit in the same epoch; each loses once, and gets through afterwards.
fn race(world: &mut World, alice: Who, bob: Who) {
    for (winner, loser) in [(alice, bob), (bob, alice)] {
        let (won, _) = world.make_commit(winner, &[], &[]);
        let (lost, _) = world.make_commit(loser, &[], &[]);
        let current = world.send(winner, &won, None).unwrap().epoch;
        let refusal = world.sim.append_from(&world.user(loser), &lost).unwrap_err();
        assert_eq!(refusal, Refusal::WrongEpoch { current });
        world.commit(loser, &[], &[]).unwrap();
    }
}

/// Proposals of ours and theirs wait at the hub, for a commit of ours and of theirs.
fn proposals(world: &mut World, [alice, bob, carol, laptop]: [Who; 4], other: &dyn Implementation) {
    world.propose_to_add(bob, laptop);
    world.propose_update(1);
    let merged = world.commit(alice, &[], &[]).unwrap();
    assert_eq!(merged.changes.added, [world.credential(laptop)]);
    let phone = world.ours(CAROL, "PHONE");
    world.propose_to_add(carol, phone);
    if other.makes_the_paths_that_others_need() {
        world.propose_update(0);
    }
    let merged = world.commit(bob, &[], &[]).unwrap();
    assert_eq!(merged.changes.added, [world.credential(phone)]);
    world.talk(phone);
    world.sim.room.remove_device(&world.credential(phone));
    world.commit(alice, &[], &[phone]).unwrap();
}

/// One device goes: by a proposal of the hub where the group knows it, else by a commit of theirs.
fn remove_one(world: &mut World, bob: Who, dave: Who, other: &dyn Implementation) {
    world.sim.room.part(&user(DAVE));
    let proposed = world.sim.queue_removals();
    assert_eq!(proposed, usize::from(world.layering() == Layering::Bound && other.knows_external_senders()));
    let remove = if proposed == 0 { vec![dave] } else { vec![] };
    if !other.makes_the_paths_that_others_need() {
        // RFC 9420, section 12.4, demands a path: the hub sees to it, and nobody is stuck.
        assert_eq!(world.commit(bob, &[], &remove).unwrap_err().code(), "invalid");
        world.commit(Who::Ours(0), &[], &remove).unwrap();
        return;
    }
    let merged = world.commit(bob, &[], &remove).unwrap();
    assert_eq!(merged.changes.removed, [world.credential(dave)]);
}

/// A foreign device says that it leaves, with its user, and ours commit it.
fn leave(world: &mut World, alice: Who, eve: Who) {
    world.sim.room.pair(&user(EVE), false);
    let own = world.credential(eve);
    world.propose_theirs(eve, &[], Change::Remove(own.clone()));
    world.sim.room.paired = None;
    let merged = world.commit(alice, &[], &[]).unwrap();
    assert_eq!(merged.changes.removed, [own]);
    world.talk(alice);
}
