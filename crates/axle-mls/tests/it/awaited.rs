//! Which epochs a hub keeps for those who were let in and have not come yet.

use axle_mls::HubGroup;

use super::common::sim::{LAYERINGS, Sim};
use super::common::user;

#[test]
fn an_epoch_is_awaited_until_all_who_were_let_in_have_committed_or_are_gone() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &["@alice:hub.test", "@bob:b.test"]);
        assert_eq!(sim.hub().awaited_epochs(), [2]);
        sim.update(1).unwrap();
        assert!(sim.hub().awaited_epochs().is_empty());
        let (carol, dave) = (sim.device("@carol:c.test", "C"), sim.device("@dave:d.test", "D"));
        let epoch = sim.add(0, &[carol, dave]).unwrap().epoch;
        for _ in 0..20 {
            sim.update(0).unwrap();
        }
        assert_eq!(sim.hub().awaited_epochs(), [epoch]);
        // Who comes by itself needs no Welcome.
        let erin = sim.device("@erin:e.test", "E");
        sim.join_external(erin).unwrap();
        let merged = sim.update(carol).unwrap();
        assert_eq!(sim.hub().awaited_epochs(), [epoch], "dave is still to come");
        let stored = HubGroup::from_bytes(&merged.snapshot).unwrap();
        assert_eq!(stored.awaited_epochs(), [epoch]);
        let leaving = sim.credential(dave);
        sim.room.part(&user("@dave:d.test"));
        sim.queue_removals();
        let remove = if layering == axle_mls::Layering::Bound { vec![] } else { vec![leaving] };
        sim.remove(0, &remove).unwrap();
        assert!(sim.hub().awaited_epochs().is_empty());
    }
}

/// Another device in the place of one that has not come: it is awaited where it was let in, and the other nowhere.
#[test]
fn who_takes_the_place_of_another_is_awaited_in_its_own_epoch() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &["@alice:hub.test"]);
        let first = sim.device("@alice:hub.test", "B");
        sim.add(0, &[first]).unwrap();
        let (leaving, second) = (sim.credential(first), sim.device("@alice:hub.test", "C"));
        let plan = sim.plan(0, &[second], &[leaving]);
        let pending = sim.commit(0, plan);
        let epoch = sim.submit(0, &pending).unwrap().epoch;
        assert_eq!(sim.hub().awaited_epochs(), [epoch]);
    }
}

/// As earlier versions stored it.
#[test]
fn a_state_without_awaited_epochs_is_read() {
    for layering in LAYERINGS {
        let mut sim = Sim::with(layering, &["@alice:hub.test", "@bob:b.test"]);
        let mut state = sim.update(1).unwrap().snapshot;
        assert_eq!(state[0], 2);
        assert_eq!(state.pop(), Some(0));
        state[0] = 1;
        let group = HubGroup::from_bytes(&state).unwrap();
        assert_eq!((group.epoch(), group.awaited_epochs()), (3, vec![]));
    }
}
