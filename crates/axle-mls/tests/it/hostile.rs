//! What is not as it should be, at each door of the hub and of a member: an error says so, and nothing has changed.

use axle_mls::event::{CommitContent, EncryptedContent, ProposalContent, WelcomeContent};
use axle_mls::hub::Refusal;
use axle_mls::limits::{MAX_MESSAGE_BYTES, MAX_RATCHET_TREE_BYTES};
use axle_mls::member::{CommitPlan, HubState, MemberError};
use axle_mls::{CheckedKeyPackage, Layering, Member};
use axle_protocol::RoomId;

use crate::common::sim::{LAYERINGS, Sim};
use crate::common::{ALICE, BOB, CAROL, key, user};

/// An operation of a device fails and leaves its store as it was; so does the same device that is opened anew.
fn fails<T: std::fmt::Debug>(
    sim: &mut Sim,
    device: usize,
    operation: impl FnOnce(&mut Member) -> Result<T, MemberError>,
) -> MemberError {
    let before = sim.devices[device].store.dump();
    let error = operation(sim.member(device)).unwrap_err();
    assert_eq!(sim.devices[device].store.dump(), before, "{error}");
    error
}

/// Bytes with each of some bits flipped, cut, and with more behind them.
fn spoilt(good: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![vec![], good[..good.len() / 2].to_vec(), [good, &[0]].concat(), vec![0; good.len()]];
    for at in (0..good.len()).step_by(11) {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1 << (at % 8);
        all.push(bytes);
    }
    all
}

/// A room like the others, with another id.
fn elsewhere(layering: Layering) -> Sim {
    let mut sim = Sim::empty(layering);
    sim.id = RoomId::parse("!other:hub.test").unwrap();
    for name in [ALICE, BOB] {
        sim.device(name, "A");
    }
    let first = sim.create_group();
    sim.establish(&first).unwrap();
    sim.add(0, &[1]).unwrap();
    sim
}

#[test]
fn commits_to_a_member() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let id = sim.id.clone();
        let plan = CommitPlan { update: true, ..sim.plan(0, &[], &[]) };
        let pending = sim.commit(0, plan);
        sim.append(0, &pending).unwrap();
        let (event_id, good) = sim.log.last().unwrap().clone();
        for message in spoilt(&good.message) {
            let content = CommitContent { message, ..good.clone() };
            let error = fails(&mut sim, 1, |bob| bob.process(&id, &content, &event_id));
            let told = matches!(
                error,
                MemberError::Malformed(_) | MemberError::CannotApply(_) | MemberError::WrongEpoch { .. }
            );
            assert!(told, "{error}");
        }
        // Of another room, and a message that is no commit.
        let mut other = elsewhere(layering);
        other.update(0).unwrap();
        let foreign = other.log.last().unwrap().1.clone();
        fails(&mut sim, 1, |bob| bob.process(&id, &foreign, &event_id));
        let ciphertext = sim.encrypt(1, "hello").ciphertext;
        let content = CommitContent { message: ciphertext, ..good.clone() };
        assert_eq!(
            fails(&mut sim, 1, |bob| bob.process(&id, &content, &event_id)),
            MemberError::Malformed("the message")
        );
        // A replay, and what is not its turn yet.
        sim.catch_up();
        let current = sim.hub().epoch();
        let replayed = fails(&mut sim, 1, |bob| bob.process(&id, &good, &event_id));
        assert_eq!(replayed, MemberError::WrongEpoch { current });
        sim.assert_agreement();
    }
}

#[test]
fn welcomes_to_a_member() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let (id, carol) = (sim.id.clone(), sim.device(CAROL, "A"));
        let plan = sim.plan(0, &[carol], &[]);
        let pending = sim.commit(0, plan);
        let old_tree = sim.hub().ratchet_tree();
        sim.append(0, &pending).unwrap();
        sim.catch_up();
        let (welcome, tree) = (pending.welcome.unwrap(), sim.hub().ratchet_tree());
        let good = WelcomeContent { welcome: welcome.clone(), commit_event_id: sim.log.last().unwrap().0.clone() };
        let oversized = vec![vec![0; MAX_MESSAGE_BYTES + 1]];
        for welcome in spoilt(&welcome).into_iter().chain(oversized) {
            let content = WelcomeContent { welcome, ..good.clone() };
            fails(&mut sim, carol, |carol| carol.join(&id, layering, &content, &tree));
        }
        // The tree of another epoch, and none.
        let trees = spoilt(&tree).into_iter().chain([old_tree, vec![0; MAX_RATCHET_TREE_BYTES + 1]]);
        for tree in trees {
            fails(&mut sim, carol, |carol| carol.join(&id, layering, &good, &tree));
        }
        // For another room, and for another device, which stays where it is.
        let other = RoomId::parse("!other:hub.test").unwrap();
        let error = fails(&mut sim, carol, |carol| carol.join(&other, layering, &good, &tree));
        assert_eq!(error, MemberError::Malformed("the Welcome"));
        fails(&mut sim, 1, |bob| bob.join(&id, layering, &good, &tree));
        sim.member(carol).join(&id, layering, &good, &tree).unwrap();
        sim.devices[carol].seen = sim.log.len();
        sim.assert_agreement();
        // A replay: its KeyPackage is used up.
        fails(&mut sim, carol, |carol| carol.join(&id, layering, &good, &tree));
        sim.assert_agreement();
    }
}

#[test]
fn an_old_welcome_does_not_bring_an_old_epoch_back() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE]);
        let (id, bob) = (sim.id.clone(), sim.device(BOB, "A"));
        // Of the last resort, so that it can be used again.
        let package = CheckedKeyPackage::parse(&sim.member(bob).key_package(true).unwrap()).unwrap();
        let binding = sim.room.binding(&user(ALICE), [&user(BOB)]);
        let pending = sim.commit(0, CommitPlan { add: vec![package], binding, ..Default::default() });
        sim.submit(0, &pending).unwrap();
        let tree = sim.hub().ratchet_tree();
        let (commit_event_id, _) = sim.log.last().unwrap().clone();
        let old = WelcomeContent { welcome: pending.welcome.unwrap(), commit_event_id };
        for _ in 0..2 {
            assert_eq!(fails(&mut sim, bob, |bob| bob.join(&id, layering, &old, &tree)), MemberError::AlreadyMember);
            sim.update(0).unwrap();
        }
        sim.assert_agreement();
        sim.talk(bob, &[0]);
    }
}

#[test]
fn what_a_hub_shows_to_who_joins_by_itself() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let id = sim.id.clone();
        let binding = sim.room.binding(&user(BOB), [&user(BOB)]);
        let (old, foreign) = (sim.hub_state(), elsewhere(layering).hub_state());
        sim.update(0).unwrap();
        let now = sim.hub_state();
        // Bob is in the group already, and stays there whatever he is shown.
        let lies = spoilt(&now.group_info).into_iter().map(|group_info| HubState { group_info, ..now.clone() });
        let trees = spoilt(&now.ratchet_tree).into_iter().map(|ratchet_tree| HubState { ratchet_tree, ..now.clone() });
        let mixed = HubState { ratchet_tree: old.ratchet_tree, ..now.clone() };
        for lie in lies.chain(trees).chain([mixed, foreign]) {
            fails(&mut sim, 1, |bob| bob.join_external(&id, layering, &lie, &binding));
        }
        sim.assert_agreement();
        sim.talk(1, &[0]);
    }
}

#[test]
fn messages_to_a_member() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let id = sim.id.clone();
        let good = sim.encrypt(0, "hello");
        for ciphertext in spoilt(&good.ciphertext) {
            let content = EncryptedContent { ciphertext, ..good.clone() };
            fails(&mut sim, 1, |bob| bob.decrypt(&id, &content));
        }
        let mut other = elsewhere(layering);
        let foreign = other.encrypt(0, "hello");
        fails(&mut sim, 1, |bob| bob.decrypt(&id, &foreign));
        // Of an epoch that Bob has not reached.
        let plan = CommitPlan { update: true, ..sim.plan(0, &[], &[]) };
        let pending = sim.commit(0, plan);
        sim.append(0, &pending).unwrap();
        sim.catch_up_one(0);
        let early = sim.encrypt(0, "early");
        let current = sim.hub().epoch() - 1;
        assert_eq!(fails(&mut sim, 1, |bob| bob.decrypt(&id, &early)), MemberError::WrongEpoch { current });
        assert_eq!(sim.member(1).decrypt(&id, &good).unwrap().plaintext, b"hello");
        assert!(matches!(fails(&mut sim, 1, |bob| bob.decrypt(&id, &good)), MemberError::CannotDecrypt(_)));
    }
}

#[test]
fn proposals_to_a_hub() {
    let mut sim = Sim::with(Layering::Bound, &[ALICE, BOB]);
    let (id, binding) = (sim.id.clone(), sim.room.binding(&user(BOB), []));
    let good = sim.member(1).propose_update(&id, &binding).unwrap();
    let before = sim.hub().to_bytes().unwrap();
    let refused = |sim: &Sim, message: Vec<u8>| {
        let refusal = sim.hub().check_proposal(&ProposalContent { message }, &user(BOB), &sim.room).unwrap_err();
        assert_eq!(sim.hub().to_bytes().unwrap(), before);
        refusal
    };
    // The membership tag is all that a hub cannot check.
    const MEMBERSHIP_TAG_BYTES: usize = 32;
    for message in spoilt(&good.message) {
        let signed = good.message.len() - MEMBERSHIP_TAG_BYTES;
        if message.get(..signed) != Some(&good.message[..signed]) || message.len() != good.message.len() {
            refused(&sim, message);
        }
    }
    let malformed = Refusal::Malformed("the message");
    assert_eq!(refused(&sim, vec![0; MAX_MESSAGE_BYTES + 1]), malformed);
    assert_eq!(refused(&sim, sim.log[1].1.message.clone()).code(), "wrong_epoch");
    let ciphertext = sim.encrypt(1, "hello").ciphertext;
    assert_eq!(refused(&sim, ciphertext), malformed);
    let plan = CommitPlan { update: true, ..sim.plan(0, &[], &[]) };
    let commit = sim.commit(0, plan).content.message;
    sim.member(0).discard(&id).unwrap();
    assert_eq!(refused(&sim, commit), malformed);
    let mut other = elsewhere(Layering::Bound);
    let foreign = other.id.clone();
    let elsewhere = other.member(1).propose_update(&foreign, &binding).unwrap();
    assert_eq!(refused(&sim, elsewhere.message), Refusal::WrongGroup);
    // Bound to what does not hold, and to nothing.
    let mut wrong = binding.clone();
    wrong.auth_events.pop_last();
    let proposal = sim.member(1).propose_update(&id, &wrong).unwrap();
    assert_eq!(refused(&sim, proposal.message).code(), "wrong_auth_events");
    let paired = axle_mls::event::RoomBinding { member_event: Some([1; 32]), ..binding.clone() };
    let proposal = sim.member(1).propose_update(&id, &paired).unwrap();
    assert_eq!(refused(&sim, proposal.message), Refusal::WrongMemberEvent);
    // A replay in the same epoch, and in the next.
    sim.queue(1, &good).unwrap();
    assert_eq!(sim.queue(1, &good).unwrap_err(), Refusal::ProposalConflict);
    sim.update(0).unwrap();
    let current = sim.hub().epoch();
    assert_eq!(sim.queue(1, &good).unwrap_err(), Refusal::WrongEpoch { current });
    sim.assert_agreement();
}

#[test]
fn messages_to_a_hub() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let good = sim.encrypt(0, "hello");
        let check = |sim: &Sim, content: &EncryptedContent| sim.hub().check_message(content, &user(ALICE));
        check(&sim, &good).unwrap();
        for ciphertext in [vec![], good.ciphertext[..20].to_vec(), [&good.ciphertext[..], &[0]].concat()] {
            let content = EncryptedContent { ciphertext, ..good.clone() };
            assert_eq!(check(&sim, &content), Err(Refusal::Malformed("the message")));
        }
        let commit = EncryptedContent { ciphertext: sim.log[1].1.message.clone(), ..good.clone() };
        assert_eq!(check(&sim, &commit), Err(Refusal::Malformed("the message")));
        let foreign = elsewhere(layering).encrypt(0, "hello");
        assert_eq!(check(&sim, &foreign), Err(Refusal::WrongGroup));
        let first = EncryptedContent { commit_event_id: sim.log[0].0.clone(), ..good.clone() };
        assert_eq!(check(&sim, &first).unwrap_err().code(), "wrong_parent");
        assert_eq!(sim.hub().check_message(&good, &user(CAROL)), Err(Refusal::NotAMember));
        // Somebody is removed: nothing of the epoch before gets in any more.
        sim.room.part(&user(BOB));
        let bob = sim.credential(1);
        sim.remove(0, &[bob]).unwrap();
        let current = sim.hub().epoch();
        assert_eq!(check(&sim, &good), Err(Refusal::WrongEpoch { current }));
    }
}

#[test]
fn a_key_package_is_of_use_once_in_a_group() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let carol = sim.device(CAROL, "A");
        let package = sim.key_package(carol);
        let binding = sim.room.binding(&user(ALICE), [&user(CAROL)]);
        let plan = CommitPlan { add: vec![package.clone()], binding, ..Default::default() };
        let before = sim.hub().to_bytes().unwrap();
        let pending = sim.commit(0, plan.clone());
        // A hub that takes Carol for gone refuses her, and knows her again.
        let credential = sim.credential(carol);
        sim.room.remove_device(&credential);
        assert_eq!(sim.check(0, &pending.content).unwrap_err().code(), "device_invalid");
        sim.room.publish(&credential);
        assert_eq!(sim.hub().to_bytes().unwrap(), before);
        sim.submit(0, &pending).unwrap();
        // The same again: openmls lets nobody make it; and the hub knows the device.
        let id = sim.id.clone();
        let error = fails(&mut sim, 0, |alice| alice.commit(&id, plan));
        assert!(matches!(error, MemberError::Invalid(_)), "{error}");
        let mut other = Member::open(key(CAROL, "A"), axle_mls::member::MemoryStore::default());
        let again = CheckedKeyPackage::parse(&other.key_package(false).unwrap()).unwrap();
        let binding = sim.room.binding(&user(ALICE), [&user(CAROL)]);
        let again = fails(&mut sim, 0, |alice| {
            alice.commit(&id, CommitPlan { add: vec![again], binding, ..Default::default() })
        });
        assert!(matches!(again, MemberError::Invalid(_)), "{again}");
        sim.assert_agreement();
    }
}
