//! Events as they were appended a moment ago, for the queues towards other servers: a destination that keeps up is
//! served without a look into the database, and all destinations share one copy of each event.

use std::collections::VecDeque;

use axle_protocol::RoomId;

use crate::PendingEvent;

/// JSON that is kept, in bytes. Who needs older events reads them from the log.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The newest events that go to other servers, in stream order.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    events: VecDeque<PendingEvent>,
    bytes: usize,
}

impl Fresh {
    /// Adds events that are durable since now; their stream positions are above all others here.
    pub(super) fn add(&mut self, events: impl IntoIterator<Item = PendingEvent>) {
        for event in events {
            self.bytes += event.json.len();
            self.events.push_back(event);
        }
        while self.bytes > MAX_BYTES
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.json.len();
        }
    }

    /// The events at these stream positions, if all of them are here.
    pub(super) fn get(&self, streams: &[i64]) -> Option<Vec<PendingEvent>> {
        let at = |stream: &i64| {
            let index = self.events.binary_search_by_key(stream, |event| event.stream).ok()?;
            self.events.get(index).cloned()
        };
        streams.iter().map(at).collect()
    }

    /// Somebody gets this room's events no longer: who still gets which is found out from the log.
    pub(super) fn forget(&mut self, room_id: &RoomId) {
        self.events.retain(|event| event.room_id != *room_id);
        self.bytes = self.events.iter().map(|event| event.json.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use axle_protocol::EventId;

    use super::*;

    fn event(stream: i64, room: &str, bytes: usize) -> PendingEvent {
        PendingEvent {
            stream,
            event_id: EventId::from_reference_hash(&[u8::try_from(stream).unwrap(); 32]),
            room_id: RoomId::parse(format!("!{room}:a.test")).unwrap(),
            json: "x".repeat(bytes).into(),
        }
    }

    fn found(fresh: &Fresh, streams: &[i64]) -> Option<Vec<i64>> {
        Some(fresh.get(streams)?.iter().map(|event| event.stream).collect())
    }

    #[test]
    fn all_or_nothing() {
        let mut fresh = Fresh::default();
        fresh.add([event(3, "one", 10), event(5, "two", 10), event(6, "one", 10)]);
        assert_eq!(found(&fresh, &[3, 6]), Some(vec![3, 6]));
        assert_eq!(found(&fresh, &[]), Some(vec![]));
        assert_eq!(found(&fresh, &[3, 4]), None);
        fresh.forget(&RoomId::parse("!one:a.test").unwrap());
        assert_eq!((found(&fresh, &[3]), found(&fresh, &[5])), (None, Some(vec![5])));
    }

    #[test]
    fn the_oldest_go_first() {
        let mut fresh = Fresh::default();
        fresh.add((1..=3).map(|stream| event(stream, "one", MAX_BYTES / 2)));
        assert_eq!((found(&fresh, &[1]), found(&fresh, &[2, 3])), (None, Some(vec![2, 3])));
        fresh.add([event(4, "one", MAX_BYTES + 1)]);
        assert_eq!((found(&fresh, &[3]), found(&fresh, &[4])), (None, None));
        assert_eq!((fresh.bytes, fresh.events.len()), (0, 0));
    }
}
