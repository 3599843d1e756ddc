//! What a hub's check of a commit costs that adds one device, beside what openmls alone takes for the same commit, in
//! groups of 2, 50 and 200 devices.
//!
//! `cargo bench -p axle-mls --bench hub`
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../tests/it/common/mod.rs"]
mod common;

use std::hint::black_box;

use axle_mls::Layering;
use axle_mls::event::CommitContent;
use common::sim::Sim;
use common::{ALICE, user};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use openmls::framing::PublicMessageIn;
use openmls::group::{ProposalStore, PublicGroup};
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{ProtocolMessage, RatchetTreeIn};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider as _;
use tls_codec::DeserializeBytes as _;

const GROUPS: [usize; 3] = [2, 50, 200];

/// A group with as many devices, and a commit of its first that adds one more.
fn group(layering: Layering, devices: usize) -> (Sim, CommitContent) {
    let mut sim = Sim::new(layering, ALICE);
    let others: Vec<usize> = (1..devices).map(|n| sim.device(&format!("@user{n}:s.test"), "A")).collect();
    for batch in others.chunks(50) {
        let plan = sim.plan(0, batch, &[]);
        let pending = sim.commit(0, plan);
        sim.append(0, &pending).unwrap();
        sim.catch_up_one(0);
    }
    let another = sim.device("@another:s.test", "A");
    let plan = sim.plan(0, &[another], &[]);
    let content = sim.commit(0, plan).content;
    (sim, content)
}

/// The same group as openmls follows it.
fn openmls(sim: &Sim) -> (OpenMlsRustCrypto, PublicGroup) {
    let provider = OpenMlsRustCrypto::default();
    let tree = RatchetTreeIn::tls_deserialize_exact_bytes(&sim.hub().ratchet_tree()).unwrap();
    let group_info = VerifiableGroupInfo::tls_deserialize_exact_bytes(sim.hub().group_info()).unwrap();
    let group =
        PublicGroup::from_external(provider.crypto(), provider.storage(), tree, group_info, ProposalStore::new());
    let (group, _) = group.unwrap();
    (provider, group)
}

fn check_of_a_commit(c: &mut Criterion) {
    let mut bench = c.benchmark_group("check_of_an_add");
    for devices in GROUPS {
        for layering in [Layering::OnTop, Layering::Bound] {
            let (sim, content) = group(layering, devices);
            let (provider, openmls) = openmls(&sim);
            bench.bench_function(BenchmarkId::new(format!("openmls_{}", layering.as_str()), devices), |b| {
                b.iter(|| {
                    let message = PublicMessageIn::tls_deserialize_exact_bytes(black_box(&content.message)).unwrap();
                    openmls.process_message(provider.crypto(), ProtocolMessage::from(message)).unwrap()
                });
            });
            bench.bench_function(BenchmarkId::new(format!("hub_{}", layering.as_str()), devices), |b| {
                b.iter(|| sim.hub().check(black_box(&content), &user(ALICE), &sim.room).unwrap());
            });
        }
    }
    bench.finish();
}

criterion_group!(benches, check_of_a_commit);
criterion_main!(benches);
