//! Groups from their first commit on, in both layerings: hub and devices stay of one mind, and only members can read.

use axle_mls::hub::Refusal;
use axle_mls::member::{MemberError, epoch_code, safety_code};

use crate::common::sim::{LAYERINGS, Sim};
use crate::common::{ALICE, BOB, CAROL, user};

#[test]
fn devices_join_talk_and_leave() {
    for layering in LAYERINGS {
        let mut sim = Sim::new(layering, ALICE);
        sim.assert_agreement();
        let (bob, laptop, carol) = (sim.device(BOB, "A"), sim.device(BOB, "LAPTOP"), sim.device(CAROL, "A"));
        let merged = sim.add(0, &[bob, laptop]).unwrap();
        assert_eq!(merged.changes.added, [sim.credential(bob), sim.credential(laptop)]);
        sim.assert_agreement();
        sim.talk(0, &[bob, laptop]);
        sim.talk(laptop, &[0, bob]);
        sim.add(bob, &[carol]).unwrap();
        sim.assert_agreement();
        sim.talk(carol, &[0, bob, laptop]);
        for device in [0, bob, laptop, carol] {
            sim.update(device).unwrap();
        }
        sim.assert_agreement();
        sim.talk(0, &[bob, laptop, carol]);
        // A device goes; another of its user removes it.
        let gone = sim.credential(laptop);
        sim.room.remove_device(&gone);
        assert_eq!(sim.hub().due_removals(&sim.room), std::slice::from_ref(&gone));
        assert_eq!(sim.update(0).unwrap_err(), Refusal::RemovalDue(vec![gone.clone()]));
        sim.remove(bob, &[gone]).unwrap();
        sim.assert_agreement();
    }
}

#[test]
fn who_is_kicked_reads_nothing_later_and_keeps_others_from_committing() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB, CAROL]);
        let old = sim.encrypt(0, "before");
        sim.room.part(&user(BOB));
        let bob = sim.credential(1);
        // Bob's own traffic is refused at once, and so is everything that would keep him.
        assert_eq!(sim.update(1).unwrap_err().code(), "not_joined");
        assert_eq!(sim.update(2).unwrap_err(), Refusal::RemovalDue(vec![bob.clone()]));
        sim.remove(2, &[bob]).unwrap();
        sim.assert_agreement();
        let id = sim.id.clone();
        assert!(!sim.member(1).is_in(&id));
        let later = sim.encrypt(0, "after");
        assert_eq!(sim.member(1).decrypt(&id, &later), Err(MemberError::NoGroup));
        assert!(sim.hub().check_message(&later, &user(BOB)).is_err());
        // What was encrypted while he could read does not get into the log any more.
        assert_eq!(sim.hub().check_message(&old, &user(ALICE)).unwrap_err().code(), "wrong_epoch");
        sim.talk(2, &[0]);
    }
}

#[test]
fn who_joins_cannot_read_the_past() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let past = sim.encrypt(0, "past");
        let carol = sim.device(CAROL, "A");
        sim.add(0, &[carol]).unwrap();
        let id = sim.id.clone();
        assert!(sim.member(1).decrypt(&id, &past).is_ok());
        assert!(matches!(sim.member(carol).decrypt(&id, &past), Err(MemberError::CannotDecrypt(_))));
    }
}

#[test]
fn a_device_joins_by_itself_and_takes_its_place_again() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let laptop = sim.device(BOB, "LAPTOP");
        let merged = sim.join_external(laptop).unwrap();
        assert!(merged.changes.external);
        assert_eq!(merged.changes.added, [sim.credential(laptop)]);
        sim.assert_agreement();
        sim.talk(laptop, &[0, 1]);
        // It loses its state.
        let key = crate::common::key(BOB, "LAPTOP");
        sim.devices[laptop].store = Default::default();
        sim.devices[laptop].member = axle_mls::Member::open(key, sim.devices[laptop].store.clone());
        let merged = sim.join_external(laptop).unwrap();
        assert_eq!(
            (merged.changes.added, merged.changes.removed),
            (vec![sim.credential(laptop)], vec![sim.credential(laptop)])
        );
        sim.assert_agreement();
        sim.talk(0, &[1, laptop]);
    }
}

#[test]
fn nobody_joins_by_itself_who_is_not_in_the_room() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let carol = sim.device(CAROL, "A");
        sim.room.part(&user(CAROL));
        let before = sim.hub().to_bytes().unwrap();
        assert_eq!(sim.join_external(carol).unwrap_err(), Refusal::NotJoined(user(CAROL)));
        assert_eq!(sim.hub().to_bytes().unwrap(), before);
        // In a room that everybody may read, everybody's devices may be in the group.
        sim.room.world_readable = true;
        sim.join_external(carol).unwrap();
        sim.assert_agreement();
    }
}

#[test]
fn a_group_whose_devices_have_lost_their_state_goes_on_although_a_removal_is_due() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB, CAROL]);
        for (device, name) in [(0, ALICE), (2, CAROL)] {
            sim.devices[device].store = Default::default();
            sim.devices[device].member =
                axle_mls::Member::open(crate::common::key(name, "A"), sim.devices[device].store.clone());
        }
        sim.room.part(&user(BOB));
        let bob = sim.credential(1);
        // Nobody new, but one that is in the group takes its own place; and it has to remove Bob's device first.
        let laptop = sim.device(ALICE, "LAPTOP");
        assert_eq!(sim.join_external(laptop).unwrap_err(), Refusal::RemovalDue(vec![bob.clone()]));
        sim.join_external(0).unwrap();
        let early = sim.encrypt(0, "too early");
        assert_eq!(sim.hub().check_message(&early, &user(ALICE)).unwrap_err().code(), "wrong_epoch");
        assert_eq!(sim.update(0).unwrap_err(), Refusal::RemovalDue(vec![bob.clone()]));
        sim.remove(0, &[bob]).unwrap();
        sim.join_external(2).unwrap();
        sim.assert_agreement();
        sim.talk(2, &[0]);
    }
}

#[test]
fn a_device_that_has_got_another_key_comes_back_although_nobody_else_is_there() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let old = sim.credential(0);
        let key = axle_mls::DeviceKey::from_seed(user(ALICE), "A", &[5; 32]).unwrap();
        sim.devices[0].store = Default::default();
        sim.devices[0].member = axle_mls::Member::open(key, sim.devices[0].store.clone());
        let new = sim.credential(0);
        sim.room.publish(&new);
        // While Bob is there, it is for him to remove what has the old key.
        assert_eq!(sim.join_external(0).unwrap_err(), Refusal::RemovalDue(vec![old.clone()]));
        sim.room.part(&user(BOB));
        let bob = sim.credential(1);
        sim.join_external(0).unwrap();
        let early = sim.encrypt(0, "too early");
        assert_eq!(sim.hub().check_message(&early, &user(ALICE)).unwrap_err().code(), "wrong_epoch");
        sim.remove(0, &[old, bob]).unwrap();
        sim.assert_agreement();
        let content = sim.encrypt(0, "hello");
        sim.hub().check_message(&content, &user(ALICE)).unwrap();
    }
}

#[test]
fn a_group_that_everybody_has_left_can_be_taken_up_again() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        sim.room.part(&user(ALICE));
        sim.room.part(&user(BOB));
        // Bob comes back, and with him Carol. Alice's device is still in the group, and nobody is there to remove it.
        let carol = sim.device(CAROL, "A");
        sim.room.join(&user(BOB));
        assert_eq!(sim.join_external(carol).unwrap_err(), Refusal::RemovalDue(vec![sim.credential(0)]));
        sim.room.part(&user(BOB));
        sim.join_external(carol).unwrap();
        // Before the others are gone, nothing is said.
        let early = sim.encrypt(carol, "too early");
        assert_eq!(sim.hub().check_message(&early, &user(CAROL)).unwrap_err().code(), "wrong_epoch");
        assert_eq!(sim.update(carol).unwrap_err().code(), "removal_due");
        let others = [sim.credential(0), sim.credential(1)];
        sim.remove(carol, &others).unwrap();
        sim.assert_agreement();
        let content = sim.encrypt(carol, "hello");
        sim.hub().check_message(&content, &user(CAROL)).unwrap();
    }
}

#[test]
fn a_hub_that_starts_again_goes_on_from_what_it_stored() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        for round in 0..3 {
            let bytes = sim.hub().to_bytes().unwrap();
            let again = axle_mls::HubGroup::from_bytes(&bytes).unwrap();
            assert_eq!(again.to_bytes().unwrap(), bytes);
            assert_eq!(bytes, sim.snapshots[&sim.hub().epoch()]);
            sim.replace_hub(again);
            sim.update(round % 2).unwrap();
            sim.assert_agreement();
        }
    }
}

#[test]
fn a_device_catches_up_after_days() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB, CAROL]);
        let carol = sim.devices.remove(2);
        for round in 0..10 {
            sim.update(round % 2).unwrap();
        }
        let laptop = sim.device(BOB, "LAPTOP");
        sim.add(0, &[laptop]).unwrap();
        sim.devices.push(carol);
        sim.catch_up();
        sim.assert_agreement();
        sim.talk(3, &[0, 1, 2]);
    }
}

#[test]
fn devices_go_on_from_their_stores() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        for device in &mut sim.devices {
            let credential = device.member.credential().clone();
            let key = crate::common::key(credential.user_id.as_str(), &credential.device_id);
            device.member = axle_mls::Member::open(key, device.store.clone());
        }
        sim.talk(0, &[1]);
        sim.update(1).unwrap();
        sim.assert_agreement();
    }
}

#[test]
fn a_commit_that_waits_survives_a_restart_of_its_device() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let plan = sim.plan(0, &[], &[]);
        let pending = sim.commit(0, axle_mls::member::CommitPlan { update: true, ..plan });
        sim.append(0, &pending).unwrap();
        sim.devices[0].member = axle_mls::Member::open(crate::common::key(ALICE, "A"), sim.devices[0].store.clone());
        // The answer was lost; the commit comes with the log.
        sim.catch_up();
        sim.assert_agreement();
    }
}

#[test]
fn a_device_that_has_joined_by_itself_learns_from_the_log_that_it_did() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let laptop = sim.device(BOB, "LAPTOP");
        let pending = sim.external_commit(laptop);
        sim.append(laptop, &pending).unwrap();
        let (event_id, content) = sim.log.last().unwrap().clone();
        let id = sim.id.clone();
        sim.devices[laptop].member =
            axle_mls::Member::open(crate::common::key(BOB, "LAPTOP"), sim.devices[laptop].store.clone());
        let processed = sim.member(laptop).process(&id, &content, &event_id).unwrap();
        assert!(processed.changes.external);
        sim.devices[laptop].seen = sim.log.len();
        sim.catch_up();
        sim.assert_agreement();
        sim.talk(laptop, &[0, 1]);
        assert_eq!(sim.member(laptop).last_commit(&id), Ok(Some(event_id)));
    }
}

#[test]
fn people_can_compare_codes() {
    let mut sim = Sim::with(LAYERINGS[1], &[ALICE, BOB]);
    let (alice, bob) = (sim.credential(0), sim.credential(1));
    let code = safety_code(&alice, &bob);
    assert_eq!(code, safety_code(&bob, &alice));
    assert_eq!(code.split(' ').filter(|group| group.len() == 5 && group.parse::<u32>().is_ok()).count(), 12);
    let mut other = bob.clone();
    other.signature_key[0] ^= 1;
    assert_ne!(code, safety_code(&alice, &other));
    let id = sim.id.clone();
    let epoch = |sim: &mut Sim, device: usize| epoch_code(&sim.member(device).epoch_authenticator(&id).unwrap());
    let before = epoch(&mut sim, 0);
    assert_eq!(before, epoch(&mut sim, 1));
    sim.update(0).unwrap();
    assert_ne!(before, epoch(&mut sim, 0));
    assert_eq!(epoch(&mut sim, 0), epoch(&mut sim, 1));
}
