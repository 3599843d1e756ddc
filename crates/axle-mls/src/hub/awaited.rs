//! Into which epochs a Welcome may still lead: their ratchet trees are to be kept.
//!
//! A Welcome carries no tree; who comes by it asks the hub for that of its epoch. A device that was let in while it was off
//! may do so weeks later, after any number of commits, and needs that very tree: with a later one it could join only by
//! itself, and would have no keys for what was said to it meanwhile. That it has not come yet shows in the tree: until its
//! first commit its leaf has the keys of the KeyPackage that it was let in with.

use std::collections::{BTreeMap, BTreeSet};

use openmls::group::PublicGroup;
use openmls::prelude::LeafNodeIndex;
use openmls::treesync::LeafNodeSource;
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_WELCOME_AGE_SECONDS, MAX_WELCOME_EPOCHS, MAX_WELCOME_TREES_BYTES};

/// Who was let in by a Welcome and has not committed since, by the epoch that the Welcome leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Awaited(BTreeMap<u64, Arrivals>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Arrivals {
    /// When the commit was merged, in seconds since the Unix epoch.
    since: u64,
    /// The size of the tree, in bytes.
    bytes: u64,
    /// Each leaf is in one epoch only, so that all of them are no more than the group has.
    leaves: BTreeSet<u32>,
}

impl Awaited {
    /// Follows a commit that has led to the group's epoch at this time, in seconds since the Unix epoch, and brought these
    /// leaves. What is too old or too much is not awaited any more.
    pub(super) fn follow(&mut self, group: &PublicGroup, brought: BTreeSet<u32>, tree_bytes: usize, now: u64) {
        let epoch = group.group_context().epoch().as_u64();
        for arrivals in self.0.values_mut() {
            arrivals.leaves.retain(|leaf| !brought.contains(leaf) && has_first_keys(group, *leaf));
        }
        // Who has come by itself needs no Welcome.
        let leaves: BTreeSet<u32> = brought.into_iter().filter(|leaf| has_first_keys(group, *leaf)).collect();
        let bytes = u64::try_from(tree_bytes).unwrap_or(u64::MAX);
        self.0.insert(epoch, Arrivals { since: now, bytes, leaves });
        self.limit(now);
    }

    /// The epochs, in order.
    pub(super) fn epochs(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied()
    }

    fn limit(&mut self, now: u64) {
        self.0.retain(|_, arrivals| {
            !arrivals.leaves.is_empty() && now.saturating_sub(arrivals.since) <= MAX_WELCOME_AGE_SECONDS
        });
        while self.0.len() > MAX_WELCOME_EPOCHS || self.bytes() > MAX_WELCOME_TREES_BYTES {
            self.0.pop_first();
        }
    }

    fn bytes(&self) -> u64 {
        self.0.values().fold(0, |sum, arrivals| sum.saturating_add(arrivals.bytes))
    }
}

fn has_first_keys(group: &PublicGroup, leaf: u32) -> bool {
    let leaf = group.leaf(LeafNodeIndex::new(leaf));
    leaf.is_some_and(|leaf| matches!(leaf.leaf_node_source(), LeafNodeSource::KeyPackage(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn awaited(epochs: impl IntoIterator<Item = (u64, u64, u64)>) -> Awaited {
        let arrivals = |(epoch, since, bytes)| (epoch, Arrivals { since, bytes, leaves: [1].into() });
        Awaited(epochs.into_iter().map(arrivals).collect())
    }

    fn left(mut awaited: Awaited, now: u64) -> Vec<u64> {
        awaited.limit(now);
        awaited.epochs().collect()
    }

    #[test]
    fn what_is_too_old_is_not_awaited() {
        let of_two_days = awaited([(3, DAY, 1), (9, 2 * DAY, 1)]);
        assert_eq!(left(of_two_days.clone(), 91 * DAY), [3, 9]);
        assert_eq!(left(of_two_days, 92 * DAY), [9]);
    }

    #[test]
    fn of_too_many_or_too_large_ones_the_newest_are_awaited() {
        let many = awaited((1..=70).map(|epoch| (epoch, DAY, 1)));
        assert_eq!(left(many, DAY), (7..=70).collect::<Vec<_>>());
        let large = awaited((1..=10).map(|epoch| (epoch, DAY, 3 * 1024 * 1024)));
        assert_eq!(left(large, DAY), [6, 7, 8, 9, 10]);
    }
}
