//! What something happened to lately: rooms, users. What a sync looks at, so that its cost goes neither with the rooms of
//! its user nor with how much was said in a few rooms.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Rooms or users that are kept. Who asks for what is older looks into the database.
const MAX_KEPT: usize = 64 * 1024;

/// Rooms, or users, by the last stream position at which something happened there, since the store was opened.
#[derive(Debug)]
pub(super) struct Recent<K> {
    /// Whatever happened beyond this position is known here.
    known_from: i64,
    by_stream: BTreeMap<i64, K>,
    last: HashMap<K, i64>,
}

impl<K: Clone + Eq + Hash> Recent<K> {
    /// Knows what happens beyond a stream position.
    pub(super) fn from(stream: i64) -> Self {
        Self { known_from: stream, by_stream: BTreeMap::new(), last: HashMap::new() }
    }

    /// Something happened, and is durable.
    pub(super) fn add(&mut self, what: &K, stream: i64) {
        if let Some(before) = self.last.insert(what.clone(), stream) {
            self.by_stream.remove(&before);
        }
        self.by_stream.insert(stream, what.clone());
        if self.last.len() > MAX_KEPT
            && let Some((oldest, what)) = self.by_stream.pop_first()
        {
            self.last.remove(&what);
            self.known_from = oldest;
        }
    }

    /// Where something happened beyond a stream position, the newest first. `None`: that was too long ago, or there are
    /// more than so many.
    pub(super) fn after(&self, stream: i64, most: usize) -> Option<Vec<K>> {
        if stream < self.known_from {
            return None;
        }
        let found = self.by_stream.range(stream.saturating_add(1)..).rev().take(most + 1);
        let found: Vec<K> = found.map(|(_, what)| what.clone()).collect();
        (found.len() <= most).then_some(found)
    }

    /// Whether it is known that nothing happened beyond a stream position.
    pub(super) fn is_quiet(&self, what: &K, stream: i64) -> bool {
        stream >= self.known_from && self.last.get(what).is_none_or(|last| *last <= stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_counts_once_by_the_last_that_happened() {
        let mut recent = Recent::from(10);
        for (room, stream) in [(1, 11), (2, 12), (1, 13), (3, 14)] {
            recent.add(&room, stream);
        }
        assert_eq!(recent.after(10, 3), Some(vec![3, 1, 2]));
        assert_eq!(recent.after(12, 3), Some(vec![3, 1]));
        assert_eq!(recent.after(14, 3), Some(vec![]));
        assert_eq!((recent.after(10, 2), recent.after(9, 3)), (None, None), "too many, too long ago");
        assert!(recent.is_quiet(&1, 13) && recent.is_quiet(&4, 10));
        assert!(!recent.is_quiet(&1, 12) && !recent.is_quiet(&4, 9));
        assert_eq!(Recent::<i64>::from(i64::MAX).after(1_000_000, 3), None);
    }

    #[test]
    fn the_oldest_room_is_forgotten_first() {
        let mut recent = Recent::from(0);
        let rooms = i64::try_from(MAX_KEPT).unwrap();
        (1..=rooms).for_each(|room| recent.add(&room, room));
        recent.add(&1, rooms + 1);
        assert_eq!(recent.after(0, MAX_KEPT).map(|rooms| rooms.len()), Some(MAX_KEPT));
        recent.add(&(rooms + 1), rooms + 2);
        assert_eq!(recent.after(1, MAX_KEPT), None, "what room 2 had is not known any more");
        assert_eq!(recent.after(2, MAX_KEPT).map(|rooms| rooms.len()), Some(MAX_KEPT));
        assert!(recent.is_quiet(&2, 2) && !recent.is_quiet(&2, 1));
    }
}
