//! Seeds that must be good, and proof that the simulator can tell.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use axle_sim::{Plan, Report, Sabotage, run};

/// Runs plans on all cores; those that fail, in order of their seeds.
fn failures(seeds: u64, plan: impl Fn(u64) -> Plan + Sync) -> Vec<Report> {
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds) {
                    let report = run(&plan(seed), false);
                    if !report.violations.is_empty() {
                        failed.lock().unwrap().push(report);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|report| report.seed);
    failed
}

fn assert_good(failed: &[Report]) {
    let lines = failed.iter().map(|report| format!("--seed {}: {:#?}", report.seed, report.violations));
    let lines: Vec<String> = lines.collect();
    assert!(failed.is_empty(), "cargo run -p axle-sim --\n{}", lines.join("\n"));
}

#[test]
fn whatever_fails_every_invariant_holds() {
    assert_good(&failures(400, Plan::new));
}

#[test]
fn a_run_can_be_repeated() {
    let (first, second) = (run(&Plan::new(7), true), run(&Plan::new(7), true));
    assert_eq!(first.trace, second.trace);
    assert!(first.answered > 0);
}

#[test]
fn a_hub_that_appends_a_repeated_lpdu_again_is_found() {
    let found = failures(60, |seed| Plan::new(seed).sabotaged(Sabotage::NoDedupe));
    assert!(!found.is_empty(), "no seed shows it");
}
