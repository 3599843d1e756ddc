//! Fuzz targets of what comes from outside. Each runs for a second under `cargo test`; how to run them for longer, and
//! what to do with a finding, is in CONTRIBUTING.md.
#![allow(clippy::unwrap_used, dead_code)]

#[path = "it/common/mod.rs"]
mod common;

use std::sync::Mutex;

use axle_mls::event::{CommitContent, EncryptedContent, ProposalContent, RoomBinding, WelcomeContent};
use axle_mls::hub::Report;
use axle_mls::member::CommitPlan;
use axle_mls::{CheckedKeyPackage, Credential, DeviceInfo, HubGroup, Layering};
use axle_protocol::canonical_json;
use common::sim::Sim;
use common::{ALICE, BOB, CAROL, key, user};

/// Good bytes with a piece of them replaced: where, how much of them goes, and what comes instead, as the input says.
fn edited(good: &[u8], input: &[u8]) -> Vec<u8> {
    let [a, b, cut, new @ ..] = input else { return input.to_vec() };
    let at = usize::from(u16::from_be_bytes([*a, *b])) % (good.len() + 1);
    let end = (at + usize::from(*cut % 8)).min(good.len());
    [&good[..at], new, &good[end..]].concat()
}

#[test]
fn objects_of_devices() {
    let info = DeviceInfo::sign(&key(ALICE, "A"));
    let credential = key(ALICE, "A").credential().encode();
    bolero::check!().with_max_len(32).for_each(|input: &[u8]| {
        let _ = Credential::decode(&edited(&credential, input));
        if let Ok(text) = String::from_utf8(edited(info.json().as_bytes(), input)) {
            let _ = DeviceInfo::parse(&text);
            let _ = Report::parse(&text);
        }
    });
}

#[test]
fn key_packages() {
    let mut member = axle_mls::Member::open(key(ALICE, "A"), axle_mls::member::MemoryStore::default());
    let good = member.key_package(true).unwrap();
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| {
        let bytes = edited(&good, input);
        if let Ok(package) = CheckedKeyPackage::parse(&bytes) {
            assert_eq!(package.bytes(), good);
        }
    });
}

#[test]
fn contents_of_events() {
    let good = CommitContent {
        message: vec![1],
        public_group_state: vec![2],
        prev_commit_event_id: None,
        proposals: vec![vec![3]],
    };
    let good = canonical_json::object_to_string(&good.to_content());
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| {
        let Ok(content) = canonical_json::parse_object(&edited(good.as_bytes(), input)) else { return };
        if let Ok(commit) = CommitContent::parse(&content) {
            assert_eq!(CommitContent::parse(&commit.to_content()), Ok(commit));
        }
        let _ = (EncryptedContent::parse(&content), WelcomeContent::parse(&content), ProposalContent::parse(&content));
    });
}

#[test]
fn bindings() {
    let sim = Sim::new(Layering::Bound, ALICE);
    let good = sim.room.binding(&user(ALICE), []).encode();
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| {
        let bytes = edited(&good, input);
        if let Some(binding) = RoomBinding::decode(&bytes) {
            assert_eq!(binding.encode(), bytes);
        }
    });
}

/// A hub that is sent commits, proposals and messages: it takes none but the good one, and does not change.
#[test]
fn messages_to_a_hub() {
    for layering in common::sim::LAYERINGS {
        let mut sim = Sim::with(layering, &[ALICE, BOB]);
        let carol = sim.device(CAROL, "A");
        let id = sim.id.clone();
        let message = sim.encrypt(0, "hello");
        let plan = CommitPlan { update: true, ..sim.plan(0, &[carol], &[]) };
        let good = sim.commit(0, plan).content;
        let proposal = match layering {
            Layering::Bound => {
                let binding = sim.room.binding(&user(BOB), []);
                sim.member(1).propose_update(&id, &binding).unwrap().message
            }
            _ => good.message.clone(),
        };
        let before = sim.hub().to_bytes().unwrap();
        bolero::check!().with_max_len(64).for_each(|input: &[u8]| {
            let mut content = good.clone();
            content.message = edited(&good.message, input);
            let changed =
                content.message[..content.message.len().saturating_sub(32)] != good.message[..good.message.len() - 32];
            assert!(sim.check(0, &content).is_err() || !changed);
            let content = CommitContent { public_group_state: edited(&good.public_group_state, input), ..good.clone() };
            let _ = sim.check(0, &content);
            let content = ProposalContent { message: edited(&proposal, input) };
            let _ = sim.hub().check_proposal(&content, &user(BOB), &sim.room);
            let ciphertext = edited(&message.ciphertext, input);
            let _ = sim.hub().check_message(&EncryptedContent { ciphertext, ..message.clone() }, &user(ALICE));
            assert_eq!(sim.hub().to_bytes().unwrap(), before);
        });
    }
}

/// A client that is sent commits, Welcomes, trees, messages and GroupInfos by a hub that lies.
#[test]
fn messages_to_a_member() {
    let mut sim = Sim::with(Layering::Bound, &[ALICE, BOB]);
    let carol = sim.device(CAROL, "A");
    let id = sim.id.clone();
    let message = sim.encrypt(0, "hello");
    let plan = CommitPlan { update: true, ..sim.plan(0, &[carol], &[]) };
    let pending = sim.commit(0, plan);
    sim.append(0, &pending).unwrap();
    let (event_id, good) = sim.log.last().unwrap().clone();
    let (state, tree) = (sim.hub_state(), sim.hub().ratchet_tree());
    let welcome = WelcomeContent { welcome: pending.welcome.unwrap(), commit_event_id: event_id.clone() };
    let binding = sim.room.binding(&user(CAROL), [&user(CAROL)]);
    let sim = Mutex::new(sim);
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| {
        let mut sim = sim.lock().unwrap();
        let bob = sim.devices[1].store.copy();
        let mut bob = axle_mls::Member::open(key(BOB, "A"), bob);
        let ciphertext = edited(&message.ciphertext, input);
        let _ = bob.decrypt(&id, &EncryptedContent { ciphertext, ..message.clone() });
        let _ = bob.process(&id, &CommitContent { message: edited(&good.message, input), ..good.clone() }, &event_id);
        let carol_store = sim.devices[carol].store.copy();
        let mut carol = axle_mls::Member::open(key(CAROL, "A"), carol_store);
        let invited = WelcomeContent { welcome: edited(&welcome.welcome, input), ..welcome.clone() };
        let _ = carol.join(&id, Layering::Bound, &invited, &tree);
        let _ = carol.join(&id, Layering::Bound, &welcome, &edited(&tree, input));
        let lie = axle_mls::member::HubState { group_info: edited(&state.group_info, input), ..state.clone() };
        let _ = carol.join_external(&id, Layering::Bound, &lie, &binding);
        let lie = axle_mls::member::HubState { ratchet_tree: edited(&state.ratchet_tree, input), ..state.clone() };
        let _ = carol.join_external(&id, Layering::Bound, &lie, &binding);
        drop(sim.catch_up_one(0));
    });
}

#[test]
fn states_of_hubs() {
    let sim = Sim::with(Layering::Bound, &[ALICE, BOB]);
    let good = sim.hub().to_bytes().unwrap();
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| {
        let _ = HubGroup::from_bytes(&edited(&good, input));
    });
}
