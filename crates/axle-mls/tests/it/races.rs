//! Many devices that commit in the same epoch: one wins, and what the others wanted happens all the same.

use axle_mls::Layering;
use axle_mls::hub::Refusal;

use crate::common::ALICE;
use crate::common::sim::Sim;

const COMMITTERS: usize = 20;

/// A room of [`COMMITTERS`] devices of as many users, and a second device of each that waits to be added by the first.
fn room(layering: Layering) -> (Sim, Vec<usize>) {
    let users: Vec<String> = (1..COMMITTERS).map(|n| format!("@user{n}:s{}.test", n % 3)).collect();
    let names: Vec<&str> = std::iter::once(ALICE).chain(users.iter().map(String::as_str)).collect();
    let mut sim = Sim::with(layering, &names);
    let second = names.iter().map(|name| sim.device(name, "SECOND")).collect();
    (sim, second)
}

#[test]
fn bound_the_losers_intents_are_in_the_next_commit() {
    let (mut sim, second) = room(Layering::Bound);
    let id = sim.id.clone();
    let pending: Vec<_> = (0..COMMITTERS)
        .map(|device| {
            let plan = sim.plan(device, &[second[device]], &[]);
            sim.commit(device, plan)
        })
        .collect();
    let winner = 7;
    let merged = sim.append(winner, &pending[winner]).unwrap();
    for device in (0..COMMITTERS).filter(|device| *device != winner) {
        // The loser is told which epoch holds; it tries no second commit.
        let refusal = sim.append(device, &pending[device]).unwrap_err();
        assert_eq!(refusal, Refusal::WrongEpoch { current: merged.epoch });
    }
    sim.catch_up();
    sim.welcome(&pending[winner], &merged);
    for device in (0..COMMITTERS).filter(|device| *device != winner) {
        let package = sim.key_package(second[device]);
        let user = sim.user_of(device);
        let binding = sim.room.binding(&user, [&user]);
        let proposal = sim.member(device).propose_add(&id, package, &binding).unwrap();
        sim.queue(device, &proposal).unwrap();
    }
    let plan = sim.plan(3, &[], &[]);
    let next = sim.commit(3, plan);
    crate::sizes::assert_fits(&next.content);
    let merged = sim.submit(3, &next).unwrap();
    assert_eq!(merged.changes.added.len(), COMMITTERS - 1);
    assert_eq!(sim.hub().members().count(), 2 * COMMITTERS);
    sim.assert_agreement();
    sim.talk(second[5], &[0, second[19]]);
}

#[test]
fn on_top_refusals_are_bounded_and_everybody_gets_through() {
    let (mut sim, second) = room(Layering::OnTop);
    let id = sim.id.clone();
    let (mut waiting, mut refusals): (Vec<usize>, usize) = ((0..COMMITTERS).collect(), 0);
    while !waiting.is_empty() {
        let pending: Vec<_> = waiting
            .iter()
            .map(|device| {
                let plan = sim.plan(*device, &[second[*device]], &[]);
                sim.commit(*device, plan)
            })
            .collect();
        let winner = refusals % waiting.len();
        let merged = sim.append(waiting[winner], &pending[winner]).unwrap();
        for (at, device) in waiting.iter().enumerate().filter(|(at, _)| *at != winner) {
            let refusal = sim.append(*device, &pending[at]).unwrap_err();
            assert_eq!(refusal, Refusal::WrongEpoch { current: merged.epoch });
            refusals += 1;
        }
        sim.catch_up();
        sim.welcome(&pending[winner], &merged);
        waiting.remove(winner);
    }
    assert!(refusals <= COMMITTERS * (COMMITTERS - 1) / 2, "{refusals}");
    assert_eq!(sim.hub().members().count(), 2 * COMMITTERS);
    assert!(sim.member(0).discard(&id).is_err());
    sim.assert_agreement();
}
