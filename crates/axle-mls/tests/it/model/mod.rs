//! What a seed decides happens to a room's group: races, lost Welcomes and answers, devices that are away or lose their
//! state, kicks, restarts of the hub, committers that lie. Whatever it is, the group comes together again, nobody reads
//! what is not for them, and what was read is gone.
//!
//! A seed decides what happens, not the keys: openmls draws those. Other seeds than those of the suite:
//!
//! ```text
//! AXLE_MLS_SEEDS=0..1000 cargo test --release -p axle-mls --test it model -- --nocapture
//! ```

mod actions;
mod check;
mod rng;
mod world;

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use axle_mls::Layering;
use world::World;

/// Seeds that the suite runs; half of them in each layering.
const SEEDS: Range<u64> = 0..24;
/// Things that happen in one run, before all has to be well.
const ACTIONS: usize = 50;

/// What has to have come up among the seeds of the suite.
const SITUATIONS: [&str; 16] = [
    "race",
    "lost race",
    "loser's proposal",
    "lost answer",
    "crash before append",
    "restart",
    "lost Welcome",
    "kick",
    "kick with its commit",
    "kick of who was to be added",
    "kicked while committing",
    "joined by itself",
    "state lost",
    "malicious commit",
    "rolled back",
    "many epochs at once",
];

#[test]
fn whatever_happens_groups_come_together_and_keep_their_secrets() {
    let given = std::env::var("AXLE_MLS_SEEDS").ok();
    let seeds = given.as_deref().map_or(SEEDS, |text| range(text).unwrap());
    let (next, total) = (AtomicU64::new(seeds.start), Mutex::new(Total::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| seeds.contains(seed)) {
                    let counts = catch_unwind(AssertUnwindSafe(|| run(seed)));
                    total.lock().unwrap().add(seed, counts.ok());
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    eprintln!("{} seeds: {:#?}", seeds.end - seeds.start, total.counts);
    assert!(total.failed.is_empty(), "to see a seed alone: AXLE_MLS_SEEDS=N..N+1; failed: {:?}", total.failed);
    if given.is_none() {
        let missing: Vec<_> = SITUATIONS.into_iter().filter(|name| !total.counts.contains_key(name)).collect();
        assert!(missing.is_empty(), "situations that never came up: {missing:?}");
    }
}

#[derive(Default)]
struct Total {
    counts: BTreeMap<&'static str, u64>,
    failed: Vec<u64>,
}

impl Total {
    fn add(&mut self, seed: u64, counts: Option<BTreeMap<&'static str, u64>>) {
        let Some(counts) = counts else { return self.failed.push(seed) };
        for (name, count) in counts {
            *self.counts.entry(name).or_default() += count;
        }
    }
}

fn range(text: &str) -> Option<Range<u64>> {
    let (first, end) = text.split_once("..")?;
    Some(first.parse().ok()?..end.parse().ok()?)
}

/// One run: what came up how often.
fn run(seed: u64) -> BTreeMap<&'static str, u64> {
    let layering = if seed.is_multiple_of(2) { Layering::Bound } else { Layering::OnTop };
    let mut world = World::new(seed, layering);
    for _ in 0..ACTIONS {
        world.act();
    }
    world.heal();
    world.check_outsiders();
    world.check_what_was_not_read();
    world.counts
}
