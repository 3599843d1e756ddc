//! Which rooms something happened in lately: what a sync looks at, so that its cost goes neither with the rooms of its
//! user nor with how much was said in a few rooms.

use std::collections::{BTreeMap, HashMap};

/// Rooms that are kept. Who asks for what is older looks into the database.
const MAX_ROOMS: usize = 64 * 1024;

/// Rooms by the last stream position at which something happened there, since the store was opened.
#[derive(Debug)]
pub(super) struct Recent {
    /// Whatever happened beyond this position is known here.
    known_from: i64,
    /// Room by stream position.
    by_stream: BTreeMap<i64, i64>,
    /// Stream position by room.
    of_room: HashMap<i64, i64>,
}

impl Recent {
    /// Knows what happens beyond a stream position.
    pub(super) fn from(stream: i64) -> Self {
        Self { known_from: stream, by_stream: BTreeMap::new(), of_room: HashMap::new() }
    }

    /// Knows nothing, ever: another process writes.
    pub(super) fn blind() -> Self {
        Self::from(i64::MAX)
    }

    /// Something happened in a room, and is durable.
    pub(super) fn add(&mut self, room: i64, stream: i64) {
        if let Some(before) = self.of_room.insert(room, stream) {
            self.by_stream.remove(&before);
        }
        self.by_stream.insert(stream, room);
        if self.of_room.len() > MAX_ROOMS
            && let Some((oldest, room)) = self.by_stream.pop_first()
        {
            self.of_room.remove(&room);
            self.known_from = oldest;
        }
    }

    /// The rooms in which something happened beyond a stream position, the newest first. `None`: that was too long ago,
    /// or there are more than so many.
    pub(super) fn after(&self, stream: i64, most: usize) -> Option<Vec<i64>> {
        if stream < self.known_from {
            return None;
        }
        let rooms: Vec<i64> =
            self.by_stream.range(stream.saturating_add(1)..).rev().take(most + 1).map(|(_, room)| *room).collect();
        (rooms.len() <= most).then_some(rooms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_counts_once_by_the_last_that_happened() {
        let mut recent = Recent::from(10);
        for (room, stream) in [(1, 11), (2, 12), (1, 13), (3, 14)] {
            recent.add(room, stream);
        }
        assert_eq!(recent.after(10, 3), Some(vec![3, 1, 2]));
        assert_eq!(recent.after(12, 3), Some(vec![3, 1]));
        assert_eq!(recent.after(14, 3), Some(vec![]));
        assert_eq!((recent.after(10, 2), recent.after(9, 3)), (None, None), "too many, too long ago");
        assert_eq!(Recent::blind().after(1_000_000, 3), None);
    }

    #[test]
    fn the_oldest_room_is_forgotten_first() {
        let mut recent = Recent::from(0);
        let rooms = i64::try_from(MAX_ROOMS).unwrap();
        (1..=rooms).for_each(|room| recent.add(room, room));
        recent.add(1, rooms + 1);
        assert_eq!(recent.after(0, MAX_ROOMS).map(|rooms| rooms.len()), Some(MAX_ROOMS));
        recent.add(rooms + 1, rooms + 2);
        assert_eq!(recent.after(1, MAX_ROOMS), None, "what room 2 had is not known any more");
        assert_eq!(recent.after(2, MAX_ROOMS).map(|rooms| rooms.len()), Some(MAX_ROOMS));
    }
}
