//! Everything that travels in an event fits into one.

use axle_mls::Layering;
use axle_mls::event::CommitContent;
use axle_protocol::limits::MAX_EVENT_BYTES;

use crate::common::sim::Sim;
use crate::common::{ALICE, user};

/// What an event has besides its content: ids, hashes, two signatures, auth events.
const REST_OF_EVENT_BYTES: usize = 2048;
const DEVICES: usize = 200;
/// Devices that one commit adds.
const BATCH: usize = 50;

pub(crate) fn assert_fits(content: &CommitContent) {
    let bytes = serde_json::to_string(&content.to_content()).unwrap().len();
    assert!(bytes + REST_OF_EVENT_BYTES <= MAX_EVENT_BYTES, "{bytes} bytes");
}

#[test]
fn a_group_of_200_devices_is_built_of_events_and_goes_on() {
    let mut sim = Sim::new(Layering::Bound, ALICE);
    let id = sim.id.clone();
    // Those who only stand by do not follow, which would take most of the time of the test.
    let mut batch = vec![];
    for n in 1..DEVICES {
        batch.push(sim.device(&format!("@user{n}:s{}.test", n % 3), "A"));
        if batch.len() < BATCH && n + 1 < DEVICES {
            continue;
        }
        let plan = sim.plan(0, &batch, &[]);
        let pending = sim.commit(0, plan);
        assert_fits(&pending.content);
        let merged = sim.append(0, &pending).unwrap();
        sim.catch_up_one(0);
        if n + 1 == DEVICES {
            sim.welcome(&pending, &merged);
        }
        batch.clear();
    }
    assert_eq!(sim.hub().members().count(), DEVICES);
    let last = sim.devices.len() - 1;
    sim.talk(last, &[0]);
    // With new keys for the whole path, and a removal.
    let gone = sim.credential(5);
    sim.room.part(&gone.user_id);
    let plan = sim.plan(0, &[], &[gone]);
    let pending = sim.commit(0, plan);
    assert_fits(&pending.content);
    sim.append(0, &pending).unwrap();
    sim.catch_up_one(0);
    sim.catch_up_one(last);
    sim.talk(last, &[0]);
    let (tree, state) = (sim.hub().ratchet_tree().len(), sim.hub().to_bytes().unwrap().len());
    assert!(state < 2 * tree, "{state} bytes of state for a tree of {tree}");
    assert!(!sim.member(last).members(&id).unwrap().iter().any(|device| device.user_id == user("@user5:s2.test")));
}
