//! A client's store: what it must not keep, what it must not show, and what it does when it fails.

use axle_mls::Member;
use axle_mls::event::{CommitContent, EncryptedContent};
use axle_mls::limits::{MAX_PAST_EPOCHS, MAX_SKIPPED_MESSAGES};
use axle_mls::member::{Change, KeyValue, MemberError, MemoryStore, Sealed, StoreError};
use axle_protocol::{EventId, RoomId};
use serde_json::Value;

use crate::common::sim::{LAYERINGS, Sim};
use crate::common::{ALICE, BOB, key, user};

/// Somebody who takes Bob's store as it is now, with all his keys.
fn thief(sim: &Sim) -> Member {
    Member::open(key(BOB, "A"), sim.devices[1].store.copy())
}

#[test]
fn a_message_that_was_read_cannot_be_read_from_a_stolen_store() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let id = sim.id.clone();
        let message = sim.encrypt(0, "secret");
        assert!(thief(&sim).decrypt(&id, &message).is_ok());
        sim.member(1).decrypt(&id, &message).unwrap();
        assert!(matches!(thief(&sim).decrypt(&id, &message), Err(MemberError::CannotDecrypt(_))));
        assert!(matches!(sim.member(1).decrypt(&id, &message), Err(MemberError::CannotDecrypt(_))));
    }
}

#[test]
fn keys_of_old_epochs_are_gone_from_the_store() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let id = sim.id.clone();
        let unread = sim.encrypt(0, "never read");
        for epoch in 0..=MAX_PAST_EPOCHS {
            assert!(thief(&sim).decrypt(&id, &unread).is_ok(), "{epoch}");
            sim.update(epoch % 2).unwrap();
        }
        assert!(matches!(thief(&sim).decrypt(&id, &unread), Err(MemberError::CannotDecrypt(_))));
    }
}

#[test]
fn who_reads_the_newest_messages_first_can_read_the_rest_afterwards() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let id = sim.id.clone();
        let count = MAX_SKIPPED_MESSAGES as usize + 3;
        let messages: Vec<_> = (0..count).map(|n| sim.encrypt(0, &format!("message {n}"))).collect();
        let mut read = |n: usize| sim.member(1).decrypt(&id, &messages[n]).map(|it| it.plaintext);
        for n in [count - 1, count - 2, 50, 10, 49] {
            assert_eq!(read(n), Ok(format!("message {n}").into_bytes()));
            assert!(matches!(read(n), Err(MemberError::CannotDecrypt(_))));
        }
        // Passed over too long ago.
        assert!(matches!(read(0), Err(MemberError::CannotDecrypt(_))));
    }
}

#[test]
fn a_store_does_not_grow_with_epochs_or_messages() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let mut sizes = vec![];
        for _ in 0..4 {
            for round in 0..20 {
                // What is proposed and not committed leaves nothing either.
                let id = sim.id.clone();
                for device in 0..2 {
                    let binding = sim.room.binding(&sim.user_of(device), []);
                    let update = sim.member(device).propose_update(&id, &binding).unwrap();
                    if layering == axle_mls::Layering::Bound && round % 3 == 0 {
                        sim.queue(device, &update).unwrap();
                    }
                }
                sim.update(round % 2).unwrap();
                sim.talk(round % 2, &[(round + 1) % 2]);
            }
            let dump = sim.devices[1].store.dump();
            sizes.push((dump.len(), dump.values().map(Vec::len).sum::<usize>()));
        }
        let (keys, bytes) = sizes[1];
        assert!(sizes[3].0 <= keys && sizes[3].1 < bytes + bytes / 10, "{sizes:?}");
    }
}

#[test]
fn what_a_removed_device_had_is_gone() {
    let mut sim = Sim::with(LAYERINGS[1], &[ALICE, BOB]);
    let id = sim.id.clone();
    sim.room.part(&user(BOB));
    let bob = sim.credential(1);
    sim.remove(0, &[bob]).unwrap();
    let left = sim.devices[1].store.dump();
    assert!(left.is_empty(), "{:?}", left.keys().map(|key| String::from_utf8_lossy(key)).collect::<Vec<_>>());
    assert!(matches!(sim.member(1).epoch(&id), Err(MemberError::NoGroup)));
}

#[test]
fn what_is_forgotten_is_gone() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let id = sim.id.clone();
        let binding = sim.room.binding(&user(ALICE), []);
        sim.talk(1, &[0]);
        if layering == axle_mls::Layering::Bound {
            sim.member(0).propose_update(&id, &binding).unwrap();
        }
        let plan = axle_mls::member::CommitPlan { update: true, ..sim.plan(0, &[], &[]) };
        sim.commit(0, plan);
        sim.member(0).forget(&id).unwrap();
        let left = sim.devices[0].store.dump();
        assert!(left.is_empty(), "{:?}", left.keys().map(|key| String::from_utf8_lossy(key)).collect::<Vec<_>>());
    }
}

#[test]
fn a_key_package_is_used_up_by_a_welcome_and_a_last_resort_is_not() {
    for (last_resort, left) in [(false, 0), (true, 1)] {
        let mut sim = Sim::new(LAYERINGS[1], ALICE);
        let bob = sim.device(BOB, "A");
        let package = sim.member(bob).key_package(last_resort).unwrap();
        let package = axle_mls::CheckedKeyPackage::parse(&package).unwrap();
        let plan = axle_mls::member::CommitPlan { add: vec![package], ..sim.plan(0, &[bob], &[]) };
        // The one that the plan has claimed for itself is not used.
        let unused = 1;
        let pending = sim.commit(0, plan);
        sim.submit(0, &pending).unwrap();
        let dump = sim.devices[bob].store.dump();
        let packages = dump.keys().filter(|key| key.starts_with(b"key_package")).count();
        assert_eq!(packages, unused + left);
        sim.talk(bob, &[0]);
    }
}

#[test]
fn a_sealed_store_shows_nothing_and_opens_only_with_its_secret() {
    let inner = MemoryStore::default();
    let mut sealed = Sealed::new(inner.clone(), &[1; 32]).unwrap();
    sealed
        .apply(&[(b"room 1".to_vec(), Some(b"a secret value".to_vec())), (b"room 2".to_vec(), Some(vec![]))])
        .unwrap();
    assert_eq!(sealed.get(b"room 1").unwrap().as_deref(), Some(b"a secret value".as_slice()));
    assert_eq!(sealed.get(b"room 2").unwrap().as_deref(), Some([].as_slice()));
    assert_eq!(sealed.get(b"room 3").unwrap(), None);
    for (key, value) in inner.dump() {
        assert!(!key.windows(4).any(|part| part == b"room") && !value.windows(6).any(|part| part == b"secret"));
    }
    assert_eq!(Sealed::new(inner.clone(), &[2; 32]).unwrap().get(b"room 1").unwrap(), None);
    // One value in the place of another.
    let mut swapped = inner.clone();
    let dump: Vec<_> = inner.dump().into_iter().collect();
    swapped.apply(&[(dump[0].0.clone(), Some(dump[1].1.clone()))]).unwrap();
    assert!(sealed.get(b"room 1").is_err() || sealed.get(b"room 2").is_err());
    sealed.apply(&[(b"room 1".to_vec(), None)]).unwrap();
    assert_eq!(sealed.get(b"room 1").unwrap(), None);
}

#[test]
fn a_member_lives_in_a_sealed_store() {
    let mut sim = Sim::new(LAYERINGS[1], ALICE);
    let bob = sim.device(BOB, "A");
    let sealed = || Sealed::new(sim.devices[bob].store.clone(), &[7; 32]).unwrap();
    let member = Member::open(key(BOB, "A"), sealed());
    sim.devices[bob].member = member;
    sim.add(0, &[bob]).unwrap();
    let sealed = Sealed::new(sim.devices[bob].store.clone(), &[7; 32]).unwrap();
    sim.devices[bob].member = Member::open(key(BOB, "A"), sealed);
    sim.talk(0, &[bob]);
    let room = sim.id.as_str().as_bytes().to_vec();
    let shows = |device: usize| {
        let found = |bytes: &[u8]| bytes.windows(room.len()).any(|part| part == room);
        sim.devices[device].store.dump().iter().any(|(key, value)| found(key) || found(value))
    };
    assert!(shows(0) && !shows(bob));
}

/// Fails to write whenever it is told to.
#[derive(Clone)]
struct Failing {
    inner: MemoryStore,
    fails: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl KeyValue for Failing {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if self.fails.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(StoreError("the disk is full".into()));
        }
        self.inner.apply(changes)
    }
}

#[test]
fn an_operation_that_cannot_be_stored_has_not_happened() {
    use std::sync::atomic::Ordering::SeqCst;
    for layering in LAYERINGS {
        let mut sim = Sim::new(layering, ALICE);
        let bob = sim.device(BOB, "A");
        let failing = Failing { inner: sim.devices[bob].store.clone(), fails: Default::default() };
        let fails = failing.fails.clone();
        sim.devices[bob].member = Member::open(key(BOB, "A"), failing);
        sim.add(0, &[bob]).unwrap();
        let id = sim.id.clone();
        let message = sim.encrypt(0, "hello");
        let before = sim.devices[bob].store.dump();
        fails.store(true, SeqCst);
        let disk = |error| matches!(error, MemberError::Store(_));
        assert!(disk(sim.member(bob).decrypt(&id, &message).unwrap_err()));
        assert!(disk(sim.member(bob).encrypt(&id, b"x").unwrap_err()));
        assert!(disk(sim.member(bob).key_package(false).unwrap_err()));
        let plan = sim.plan(0, &[], &[]);
        let own = axle_mls::member::CommitPlan { binding: plan.binding, update: true, ..Default::default() };
        assert!(disk(sim.member(bob).commit(&id, own).unwrap_err()));
        let pending = sim.plan(0, &[], &[]);
        let pending = sim.commit(0, axle_mls::member::CommitPlan { update: true, ..pending });
        sim.append(0, &pending).unwrap();
        sim.catch_up_one(0);
        let (event_id, content) = sim.log.last().unwrap().clone();
        assert!(disk(sim.member(bob).process(&id, &content, &event_id).unwrap_err()));
        assert_eq!(sim.devices[bob].store.dump(), before);
        fails.store(false, SeqCst);
        assert_eq!(sim.member(bob).decrypt(&id, &message).unwrap().plaintext, b"hello");
        sim.catch_up();
        sim.assert_agreement();
        sim.talk(bob, &[0]);
    }
}

/// What an earlier version has kept of two devices, in JSON: one has a commit on its way, the other a proposal in it, and
/// messages that it has not read.
#[test]
fn a_store_in_the_old_form_is_opened_and_goes_on() {
    let old: Value = serde_json::from_str(include_str!("stores/json.json")).unwrap();
    let text = |field: &str| old[field].as_str().unwrap().to_owned();
    let content = |field: &str| old[field].as_object().unwrap();
    let store = |whose: &str| {
        let kept = old[whose].as_object().unwrap().iter();
        let changes: Vec<Change> =
            kept.map(|(name, value)| (name.as_bytes().to_vec(), Some(serde_json::to_vec(value).unwrap()))).collect();
        let mut store = MemoryStore::default();
        store.apply(&changes).unwrap();
        store
    };
    let (room, event_id) = (RoomId::parse(text("room")).unwrap(), EventId::parse(text("event_id")).unwrap());
    let commit = CommitContent::parse(content("commit")).unwrap();
    let stores = [store("alice"), store("bob")];
    let open =
        || [ALICE, BOB].into_iter().zip(&stores).map(|(name, store)| Member::open(key(name, "A"), store.clone()));
    let [mut alice, mut bob] = <[Member; 2]>::try_from(open().collect::<Vec<_>>()).unwrap();
    let epoch = old["epoch"].as_u64().unwrap();
    assert_eq!((alice.epoch(&room), bob.epoch(&room)), (Ok(epoch), Ok(epoch)));
    assert_eq!(alice.members(&room).unwrap().len(), 3);
    for (field, said) in [("message", "of this epoch"), ("late", "of the last epoch")] {
        let message = EncryptedContent::parse(content(field)).unwrap();
        assert_eq!(bob.decrypt(&room, &message).unwrap().plaintext, said.as_bytes());
    }
    alice.confirm(&room, &event_id).unwrap();
    assert_eq!(bob.process(&room, &commit, &event_id).unwrap().epoch, epoch + 1);
    // Also from what it keeps itself.
    let [mut alice, mut bob] = <[Member; 2]>::try_from(open().collect::<Vec<_>>()).unwrap();
    assert_eq!(alice.epoch_authenticator(&room).unwrap(), bob.epoch_authenticator(&room).unwrap());
    let message = alice.encrypt(&room, b"in the new form").unwrap();
    assert_eq!(bob.decrypt(&room, &message).unwrap().plaintext, b"in the new form");
    let (before, now) = (old["bob"].to_string().len(), stores[1].dump().values().map(Vec::len).sum::<usize>());
    assert!(now < before * 2 / 3, "{now} bytes of {before}");
}
