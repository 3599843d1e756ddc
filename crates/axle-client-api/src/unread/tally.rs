//! What one user has yet to read in one room.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axle_protocol::EventId;
use axle_store::Receipt;
use serde::Serialize;

use crate::receipts::MAIN;

/// The most events that are unread in a room at once. Of more, the oldest count as read.
pub(crate) const MAX_UNREAD: usize = 1_000;

/// What is unread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    /// Of those, the ones that are to be highlighted: mentions, keywords.
    highlight_count: u64,
    /// Events that notify the user.
    notification_count: u64,
}

impl Count {
    /// Events that notify the user.
    pub(crate) fn notifications(self) -> u64 {
        self.notification_count
    }
}

/// What is unread in a room, by thread; `None` is the main timeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unread(BTreeMap<Thread, Count>);

/// The first event of a thread.
type Thread = Option<Arc<EventId>>;

impl Unread {
    /// In all threads together.
    pub(crate) fn total(&self) -> Count {
        let add = |sum: Count, count: &Count| Count {
            highlight_count: sum.highlight_count.saturating_add(count.highlight_count),
            notification_count: sum.notification_count.saturating_add(count.notification_count),
        };
        self.0.values().fold(Count::default(), add)
    }

    /// In the main timeline.
    pub(crate) fn main(&self) -> Count {
        self.0.get(&None).copied().unwrap_or_default()
    }

    /// In each thread in which there is something.
    pub(crate) fn threads(&self) -> BTreeMap<EventId, Count> {
        let thread = |(thread, count): (&Thread, &Count)| Some((EventId::clone(thread.as_deref()?), *count));
        self.0.iter().filter_map(thread).collect()
    }

    fn add(&mut self, event: &UnreadEvent) {
        let count = self.0.entry(event.thread.clone()).or_default();
        count.notification_count = count.notification_count.saturating_add(1);
        count.highlight_count = count.highlight_count.saturating_add(event.highlight.into());
    }
}

/// The unread events of a room as of a moment.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// The moment, in stream order.
    pub(super) until: i64,
    /// Stream position of the list of whom the user ignores.
    pub(super) ignored: i64,
    events: Vec<UnreadEvent>,
    /// Their sums.
    unread: Unread,
}

/// An event that notifies the user, and that they have not read.
#[derive(Debug, Clone)]
pub(super) struct UnreadEvent {
    pub(super) position: i64,
    pub(super) thread: Thread,
    pub(super) highlight: bool,
}

impl Tally {
    /// Nothing is unread.
    pub(super) fn new(until: i64, ignored: i64) -> Self {
        Self { until, ignored, events: Vec::new(), unread: Unread::default() }
    }

    pub(super) fn unread(&self) -> &Unread {
        &self.unread
    }

    /// How many events there are.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// One more event is unread.
    pub(super) fn add(&mut self, event: UnreadEvent) {
        self.unread.add(&event);
        self.events.push(event);
        if self.events.len() > MAX_UNREAD {
            self.events.remove(0);
            self.sum();
        }
    }

    /// Only these events are unread still.
    pub(super) fn retain(&mut self, keep: impl Fn(&UnreadEvent) -> bool) {
        let before = self.events.len();
        self.events.retain(keep);
        if self.events.len() < before {
            self.sum();
        }
    }

    /// Everything so far is read.
    pub(super) fn clear(&mut self) {
        self.retain(|_| false);
    }

    fn sum(&mut self) {
        self.unread = Unread::default();
        self.events.iter().for_each(|event| self.unread.add(event));
    }
}

/// Up to which positions a user has read a room.
#[derive(Debug)]
pub(super) struct Read {
    /// In all threads.
    pub(super) everything: i64,
    threads: HashMap<String, i64>,
}

impl Read {
    pub(super) fn new(own: Vec<Receipt>) -> Self {
        let mut read = Self { everything: i64::MIN, threads: HashMap::new() };
        for receipt in own {
            let position = match receipt.thread {
                None => &mut read.everything,
                Some(thread) => read.threads.entry(thread).or_insert(i64::MIN),
            };
            *position = receipt.position.max(*position);
        }
        read
    }

    /// Nothing is read.
    pub(super) fn nothing() -> Self {
        Self::new(Vec::new())
    }

    /// Up to where a thread is read; `None` is the main timeline.
    pub(super) fn up_to(&self, thread: Option<&EventId>) -> i64 {
        let in_thread = self.threads.get(thread.map_or(MAIN, EventId::as_str));
        in_thread.copied().unwrap_or(i64::MIN).max(self.everything)
    }

    pub(super) fn has(&self, thread: Option<&EventId>, position: i64) -> bool {
        position <= self.up_to(thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: i64, highlight: bool) -> UnreadEvent {
        UnreadEvent { position, thread: None, highlight }
    }

    #[test]
    fn the_oldest_events_count_as_read_where_there_are_too_many() {
        let mut tally = Tally::new(0, 0);
        tally.add(event(0, true));
        let most = i64::try_from(MAX_UNREAD).unwrap();
        (1..most).for_each(|position| tally.add(event(position, false)));
        assert_eq!(tally.unread().main(), Count { highlight_count: 1, notification_count: 1_000 });
        tally.add(event(most, false));
        assert_eq!(
            (tally.unread().main(), tally.len()),
            (Count { highlight_count: 0, notification_count: 1_000 }, 1_000)
        );
        tally.retain(|event| event.position > 10);
        assert_eq!(tally.unread().total().notifications(), 990);
        tally.clear();
        assert!(tally.is_empty() && *tally.unread() == Unread::default());
    }
}
