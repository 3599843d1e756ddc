//! What one user has yet to read in one room.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use axle_protocol::EventId;
use axle_store::Receipt;
use serde::Serialize;

use crate::receipts::MAIN;

/// The most events that are unread in a room at once. Of more, the oldest count as read.
pub(crate) const MAX_UNREAD: u64 = 1_000;

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

    fn add(&mut self, run: &Run) {
        let count = self.0.entry(run.thread.clone()).or_default();
        count.notification_count = count.notification_count.saturating_add(run.len());
        count.highlight_count = count.highlight_count.saturating_add(run.highlights());
    }

    fn take(&mut self, run: &Run) {
        let Some(count) = self.0.get_mut(&run.thread) else { return };
        count.notification_count = count.notification_count.saturating_sub(run.len());
        count.highlight_count = count.highlight_count.saturating_sub(run.highlights());
        if count.notification_count == 0 {
            self.0.remove(&run.thread);
        }
    }
}

/// The unread events of a room as of a moment.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// The moment, in stream order.
    pub(super) until: i64,
    /// Stream position of the list of whom the user ignores.
    pub(super) ignored: i64,
    /// In the order in which they came.
    runs: VecDeque<Run>,
    /// How many events that are.
    events: u64,
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

/// Unread events of one kind that follow on each other: most do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    /// The positions of the first and the last of them.
    first: i64,
    last: i64,
    thread: Thread,
    highlight: bool,
}

impl Run {
    fn len(&self) -> u64 {
        u64::try_from(self.last.saturating_sub(self.first).saturating_add(1)).unwrap_or(0)
    }

    fn highlights(&self) -> u64 {
        if self.highlight { self.len() } else { 0 }
    }

    /// The part between two positions, if there is one.
    fn between(&self, first: i64, last: i64) -> Option<Self> {
        let part = Self { first: self.first.max(first), last: self.last.min(last), ..self.clone() };
        (part.first <= part.last).then_some(part)
    }

    fn goes_on_with(&self, event: &UnreadEvent) -> bool {
        self.last.checked_add(1) == Some(event.position)
            && (self.highlight, &self.thread) == (event.highlight, &event.thread)
    }
}

impl Tally {
    /// Nothing is unread.
    pub(super) fn new(until: i64, ignored: i64) -> Self {
        Self { until, ignored, runs: VecDeque::new(), events: 0, unread: Unread::default() }
    }

    pub(super) fn unread(&self) -> &Unread {
        &self.unread
    }

    /// What it takes in memory, in runs of events.
    pub(super) fn size(&self) -> usize {
        self.runs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// One more event is unread.
    pub(super) fn add(&mut self, event: UnreadEvent) {
        match self.runs.back_mut().filter(|run| run.goes_on_with(&event)) {
            Some(run) => {
                run.last = event.position;
                self.unread.add(&Run { first: event.position, ..run.clone() });
            }
            None => {
                let UnreadEvent { position, thread, highlight } = event;
                let run = Run { first: position, last: position, thread, highlight };
                self.unread.add(&run);
                self.runs.push_back(run);
            }
        }
        self.events += 1;
        if self.events > MAX_UNREAD {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(mut oldest) = self.runs.pop_front() else { return };
        self.unread.take(&Run { last: oldest.first, ..oldest.clone() });
        self.events -= 1;
        if oldest.first < oldest.last {
            oldest.first += 1;
            self.runs.push_front(oldest);
        }
    }

    /// Everything is read up to these positions.
    pub(super) fn read(&mut self, read: &Read) {
        self.replace(|run| {
            run.between(read.up_to(run.thread.as_deref()).saturating_add(1), i64::MAX).into_iter().collect()
        });
    }

    /// The event at this position is not unread any more.
    pub(super) fn leave_out(&mut self, position: i64) {
        self.replace(|run| {
            let before = run.between(i64::MIN, position.saturating_sub(1));
            before.into_iter().chain(run.between(position.saturating_add(1), i64::MAX)).collect()
        });
    }

    /// Everything so far is read.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.until, self.ignored);
    }

    fn replace(&mut self, by: impl Fn(&Run) -> Vec<Run>) {
        let runs: VecDeque<Run> = self.runs.iter().flat_map(by).collect();
        if runs != self.runs {
            self.events = runs.iter().map(Run::len).sum();
            self.unread = Unread::default();
            runs.iter().for_each(|run| self.unread.add(run));
            self.runs = runs;
        }
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

    fn read(thread: Option<&str>, position: i64) -> Read {
        match thread {
            None => Read { everything: position, threads: HashMap::new() },
            Some(thread) => Read { threads: HashMap::from([(thread.to_owned(), position)]), ..Read::nothing() },
        }
    }

    #[test]
    fn the_oldest_events_count_as_read_where_there_are_too_many() {
        let mut tally = Tally::new(0, 0);
        tally.add(event(0, true));
        let most = i64::try_from(MAX_UNREAD).unwrap();
        (1..most).for_each(|position| tally.add(event(position, false)));
        assert_eq!(tally.unread().main(), Count { highlight_count: 1, notification_count: 1_000 });
        tally.add(event(most, false));
        assert_eq!(tally.unread().main(), Count { highlight_count: 0, notification_count: 1_000 });
        tally.read(&read(None, 10));
        assert_eq!(tally.unread().total().notifications(), 990);
        tally.clear();
        assert!(tally.is_empty() && *tally.unread() == Unread::default());
    }

    #[test]
    fn events_that_follow_on_each_other_take_no_more_than_one() {
        let mut tally = Tally::new(0, 0);
        (0..10_000).for_each(|position| tally.add(event(position, false)));
        assert_eq!((tally.size(), tally.unread().total().notifications()), (1, 1_000));
        tally.leave_out(9_500);
        assert_eq!((tally.size(), tally.unread().total().notifications()), (2, 999));
    }

    /// Whatever comes, it counts as if each event were kept.
    #[test]
    fn runs_count_what_events_would() {
        let thread = Some(Arc::new(EventId::parse("$thread").unwrap()));
        let mut random = 7_u64;
        let mut below = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        let (mut tally, mut events, mut position) = (Tally::new(0, 0), Vec::<UnreadEvent>::new(), 0);
        for _ in 0..5_000 {
            match below(20) {
                0 => {
                    let (in_thread, to) = (below(2) == 0, position - below(30).cast_signed());
                    let read = read(in_thread.then_some("$thread"), to);
                    tally.read(&read);
                    events.retain(|event| !read.has(event.thread.as_deref(), event.position));
                }
                1 => {
                    let gone = position - below(20).cast_signed();
                    tally.leave_out(gone);
                    events.retain(|event| event.position != gone);
                }
                _ => {
                    position += 1 + (below(4) / 3).cast_signed();
                    let thread = thread.clone().filter(|_| below(5) == 0);
                    let event = UnreadEvent { position, thread, highlight: below(6) == 0 };
                    tally.add(event.clone());
                    events.push(event);
                }
            }
            let mut expected = Unread::default();
            for event in &events {
                let UnreadEvent { position, thread, highlight } = event.clone();
                expected.add(&Run { first: position, last: position, thread, highlight });
            }
            assert_eq!((tally.unread(), tally.is_empty()), (&expected, events.is_empty()));
        }
    }
}
