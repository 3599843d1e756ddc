//! What a hub refuses, by its code, and that nothing has changed then.

use axle_mls::event::CommitContent;
use axle_mls::hub::Refusal;
use axle_mls::limits::MAX_MESSAGE_BYTES;
use axle_mls::member::CommitPlan;
use axle_mls::{HubGroup, Layering};
use axle_protocol::{EventId, RoomId};
use proptest::prelude::*;

use crate::common::sim::{LAYERINGS, Sim};
use crate::common::{ALICE, BOB, CAROL, user};

/// Commits of the first device, changed in all kinds of ways: each is refused, and the hub is as before.
fn refused(sim: &mut Sim, change: impl FnOnce(&mut CommitContent)) -> Refusal {
    let before = sim.hub().to_bytes().unwrap();
    let plan = CommitPlan { update: true, ..sim.plan(0, &[], &[]) };
    let mut pending = sim.commit(0, plan);
    change(&mut pending.content);
    let refusal = sim.submit_or_discard(0, &pending).unwrap_err();
    assert_eq!(sim.hub().to_bytes().unwrap(), before);
    refusal
}

#[test]
fn a_message_that_is_none() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let malformed = Refusal::Malformed("the message");
        assert_eq!(refused(&mut sim, |content| content.message.clear()), malformed);
        assert_eq!(refused(&mut sim, |content| content.message.push(0)), malformed);
        assert_eq!(refused(&mut sim, |content| content.message.truncate(100)), malformed);
        assert_eq!(refused(&mut sim, |content| content.message = vec![0; MAX_MESSAGE_BYTES + 1]), malformed);
        // A GroupInfo, and a message that is no commit.
        assert_eq!(refused(&mut sim, |content| content.message = content.public_group_state.clone()), malformed);
        let ciphertext = sim.encrypt(1, "hello").ciphertext;
        assert_eq!(refused(&mut sim, |content| content.message = ciphertext), malformed);
    }
}

#[test]
fn a_replayed_or_stale_commit() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let stale = CommitPlan { update: true, ..sim.plan(1, &[], &[]) };
        let stale = sim.commit(1, stale);
        sim.update(0).unwrap();
        let before = sim.hub().to_bytes().unwrap();
        let current = sim.hub().epoch();
        assert_eq!(sim.check(1, &stale.content).unwrap_err(), Refusal::WrongEpoch { current });
        for (_, content) in &sim.log[1..] {
            assert_eq!(sim.check(0, content).unwrap_err(), Refusal::WrongEpoch { current });
        }
        assert_eq!(sim.hub().to_bytes().unwrap(), before);
        assert_eq!(Refusal::WrongEpoch { current }.code(), "wrong_epoch");
    }
}

#[test]
fn a_commit_for_another_group_or_after_another_commit() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let mut other = Sim::empty(layering);
        other.id = RoomId::parse("!other:hub.test").unwrap();
        other.device(ALICE, "A");
        let first = other.create_group();
        other.establish(&first).unwrap();
        other.update(0).unwrap();
        let elsewhere = other.log[1].1.clone();
        assert_eq!(refused(&mut sim, |content| *content = elsewhere), Refusal::WrongGroup);
        let newest = sim.hub().last_commit().cloned();
        let wrong = refused(&mut sim, |content| content.prev_commit_event_id = EventId::parse("$x").ok());
        assert_eq!(wrong, Refusal::WrongParent { current: newest.clone() });
        if layering == Layering::Bound {
            let none = refused(&mut sim, |content| content.prev_commit_event_id = None);
            assert_eq!(none, Refusal::WrongParent { current: newest });
        }
    }
}

#[test]
fn a_flipped_confirmation_tag_cannot_stop_the_room() {
    /// From the end of the message: the membership tag, then the confirmation tag.
    const TAG_BYTES: usize = 1 + 32;
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        for bit in [1, 0x80] {
            let flipped = refused(&mut sim, |content| {
                let at = content.message.len() - TAG_BYTES - 1;
                content.message[at] ^= bit;
            });
            assert_eq!(flipped, Refusal::GroupInfo);
        }
        sim.update(0).unwrap();
        sim.assert_agreement();
    }
}

#[test]
fn a_group_state_that_is_not_the_commit_s() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let old = sim.log[1].1.public_group_state.clone();
        assert_eq!(refused(&mut sim, |content| content.public_group_state = old), Refusal::GroupInfo);
        let malformed = Refusal::Malformed("the public group state");
        assert_eq!(refused(&mut sim, |content| content.public_group_state.push(0)), malformed);
        assert_eq!(refused(&mut sim, |content| content.public_group_state.clear()), malformed);
        let bytes = refused(&mut sim, |content| *content.public_group_state.last_mut().unwrap() ^= 1);
        assert_eq!(bytes, Refusal::GroupInfo);
    }
}

#[test]
fn every_changed_byte_of_a_commit_is_noticed() {
    /// The last of a PublicMessage, which only members can check.
    const MEMBERSHIP_TAG_BYTES: usize = 32;
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let plan = CommitPlan { update: true, ..sim.plan(0, &[], &[]) };
        let pending = sim.commit(0, plan);
        let before = sim.hub().to_bytes().unwrap();
        sim.check(0, &pending.content).unwrap();
        for at in 0..pending.content.message.len() - MEMBERSHIP_TAG_BYTES {
            let mut content = pending.content.clone();
            content.message[at] ^= 1 << (at % 8);
            assert!(sim.check(0, &content).is_err(), "byte {at}");
        }
        assert_eq!(sim.hub().to_bytes().unwrap(), before);
    }
}

#[test]
fn a_commit_that_somebody_else_sends() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let plan = CommitPlan { update: true, ..sim.plan(0, &[], &[]) };
        let pending = sim.commit(0, plan);
        assert_eq!(sim.check(1, &pending.content).unwrap_err(), Refusal::WrongSender(user(ALICE)));
    }
}

#[test]
fn members_that_the_room_does_not_allow() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let carol = sim.device(CAROL, "A");
        let carol_device = sim.credential(carol);
        let before = sim.hub().to_bytes().unwrap();
        // Not joined; then joined, but not published; then gone; then with another key.
        sim.room.part(&user(CAROL));
        assert_eq!(sim.add(0, &[carol]).unwrap_err(), Refusal::NotJoined(user(CAROL)));
        sim.room.join(&user(CAROL));
        let published = sim.room.devices.remove(&(user(CAROL), "A".into()));
        assert_eq!(sim.add(0, &[carol]).unwrap_err(), Refusal::DeviceUnknown(Box::new(carol_device.clone())));
        sim.room.remove_device(&carol_device);
        assert_eq!(sim.add(0, &[carol]).unwrap_err(), Refusal::DeviceInvalid(Box::new(carol_device.clone())));
        let mut other = published.unwrap().unwrap();
        other.signature_key = sim.credential(0).signature_key;
        sim.room.publish(&other);
        assert_eq!(sim.add(0, &[carol]).unwrap_err(), Refusal::DeviceInvalid(Box::new(carol_device.clone())));
        sim.room.publish(&carol_device);
        // Bob is joined, and not Alice's.
        let bob = sim.credential(1);
        assert_eq!(sim.remove(0, std::slice::from_ref(&bob)).unwrap_err(), Refusal::RemovalNotAllowed(Box::new(bob)));
        assert_eq!(sim.hub().to_bytes().unwrap(), before);
        sim.add(0, &[carol]).unwrap();
        sim.assert_agreement();
    }
}

#[test]
fn a_device_is_in_the_group_once() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        // The same device with another key, which its user has published.
        let again = axle_mls::DeviceKey::from_seed(user(BOB), "A", &[3; 32]).unwrap();
        let store = axle_mls::member::MemoryStore::default();
        let mut member = axle_mls::Member::open(again.clone(), store);
        sim.room.publish(again.credential());
        let package = axle_mls::CheckedKeyPackage::parse(&member.key_package(false).unwrap()).unwrap();
        let plan = CommitPlan { add: vec![package.clone()], ..sim.plan(0, &[], &[]) };
        let binding = sim.room.binding(&user(ALICE), [&user(BOB)]);
        let pending = sim.commit(0, CommitPlan { binding: binding.clone(), ..plan });
        let refusal = sim.submit_or_discard(0, &pending).unwrap_err();
        assert_eq!(refusal, Refusal::AlreadyMember(Box::new(again.credential().clone())));
        // In the place of the old one it may.
        let plan = CommitPlan { add: vec![package], ..sim.plan(0, &[], &[sim.credential(1)]) };
        let pending = sim.commit(0, CommitPlan { binding, ..plan });
        sim.append(0, &pending).unwrap();
    }
}

#[test]
fn a_first_commit_has_to_fit() {
    for layering in LAYERINGS {
        let mut sim = Sim::empty(layering);
        sim.device(ALICE, "A");
        sim.device(BOB, "A");
        let good = sim.create_group().content;
        let hub = sim.hub_sender();
        let create = |sim: &Sim, room: &RoomId, sender: &str, content: &CommitContent| {
            HubGroup::create(room, layering, &hub, content, &user(sender), &sim.room).map(drop)
        };
        let id = sim.id.clone();
        create(&sim, &id, ALICE, &good).unwrap();
        assert_eq!(create(&sim, &id, BOB, &good), Err(Refusal::WrongSender(user(ALICE))));
        assert_eq!(create(&sim, &RoomId::parse("!x:hub.test").unwrap(), ALICE, &good), Err(Refusal::WrongGroup));
        let mut parent = good.clone();
        parent.prev_commit_event_id = EventId::parse("$x").ok();
        assert_eq!(create(&sim, &id, ALICE, &parent), Err(Refusal::WrongParent { current: None }));
        for at in (0..good.public_group_state.len()).step_by(3) {
            let mut content = good.clone();
            content.public_group_state[at] ^= 1;
            assert!(create(&sim, &id, ALICE, &content).is_err(), "byte {at}");
        }
        sim.room.part(&user(ALICE));
        assert!(create(&sim, &id, ALICE, &good).is_err());
    }
}

#[test]
fn hubs_and_members_can_be_handed_to_other_threads() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<HubGroup>();
    is_sync::<HubGroup>();
    is_send::<axle_mls::Member>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_no_state(bytes in proptest::collection::vec(any::<u8>(), 0..300), version in 0u8..3) {
        let bytes = [&[version], &bytes[..]].concat();
        prop_assert!(HubGroup::from_bytes(&bytes).is_err());
    }
}
