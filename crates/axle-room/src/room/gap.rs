//! Events that do not follow what we have, and how what is missing is fetched.
//!
//! An event waits if a parent of it is not in the order that began when we came in. Either something between is
//! missing, or the event is older than our stay (a late delivery), or the hub gives several events the same parent and
//! this one's is older than our stay. Only the hub's order tells: it is asked to backfill from the event. If that leads
//! to something that we have, what lies between is placed, and the event after it; if it leads to something from before
//! our stay, the event is history.
//!
//! Whatever waits is stored first, so that the hub may be answered.

use std::collections::{HashSet, VecDeque};

use axle_protocol::{Event, EventId};

use super::change::{Change, Fault, FaultKind, Refusal, Status};
use super::known::Known;
use super::place::without_position;
use super::state::RoomState;
use super::verified::Verified;
use super::{Room, Whereabouts};

/// How many events of a room may wait for a gap to be filled; more are refused until it is.
pub const MAX_WAITING: usize = 1_000;
/// How many events are fetched to fill a gap. What is larger is bridged by asking for the state.
pub const MAX_GAP: usize = 10_000;

/// What became of an event that the hub sent.
#[derive(Debug, Clone)]
pub enum Received {
    /// It is in the room, and with it whatever waited for it.
    Appended(Change),
    /// The hub should not have sent it. It is kept as rejected.
    Rejected {
        /// What to store.
        change: Change,
        /// What is wrong.
        fault: Fault,
    },
    /// It waits: ask the hub to backfill from `from` (unless that is under way), and hand the answer to
    /// [`Room::fill_gap`].
    Waiting {
        /// What to store.
        change: Change,
        /// The event to backfill from.
        from: EventId,
    },
    /// It has been here.
    Duplicate,
    /// Not to be taken from this sender.
    Refused(Refusal),
}

/// How filling a gap went.
#[derive(Debug, Clone)]
pub enum Filled {
    /// Nothing waits any more.
    Closed(Change),
    /// Something still waits: backfill from this event next.
    Missing {
        /// What to store.
        change: Change,
        /// The event to backfill from.
        from: EventId,
    },
    /// The hub does not have, or does not give, what the first event that waits needs; or it is too much. See
    /// [`Room::give_up_gap`].
    Stuck(Change),
}

/// Events that wait, in order: those fetched to fill the gap, then those that the hub sent.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: VecDeque<Entry>,
    ids: HashSet<EventId>,
    /// The oldest event that the hub's order has been followed back to, for the first one that it sent.
    reached: Option<EventId>,
}

#[derive(Debug)]
struct Entry {
    event: Verified,
    /// We fetched it; it is in memory only.
    fetched: bool,
    /// The hub's order has shown that it comes after something that we have.
    anchored: bool,
}

impl Waiting {
    /// Adds an event that the hub sent.
    pub(super) fn push(&mut self, event: Verified) {
        self.ids.insert(event.event().event_id().clone());
        self.queue.push_back(Entry { event, fetched: false, anchored: false });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.queue.iter().map(|entry| entry.event.event())
    }

    pub(super) fn contains(&self, id: &EventId) -> bool {
        self.ids.contains(id)
    }

    /// Those that the hub sent.
    pub(super) fn into_sent(self) -> impl Iterator<Item = Verified> {
        self.queue.into_iter().filter(|entry| !entry.fetched).map(|entry| entry.event)
    }

    fn push_fetched(&mut self, event: Verified) {
        self.ids.insert(event.event().event_id().clone());
        self.queue.push_front(Entry { event, fetched: true, anchored: false });
    }

    /// The first event that the hub sent: what is being fetched is for it.
    fn first_sent(&self) -> Option<usize> {
        self.queue.iter().position(|entry| !entry.fetched)
    }

    /// The first event that the hub sent, and what was fetched for it, come after something that we have.
    fn anchor(&mut self) {
        let count = self.first_sent().map_or(0, |i| i + 1);
        self.queue.iter_mut().take(count).for_each(|entry| entry.anchored = true);
    }

    fn drop_fetched(&mut self) {
        self.reached = None;
        self.queue.retain(|entry| !entry.fetched);
        self.ids = self.iter().map(|event| event.event_id().clone()).collect();
    }

    /// Takes one out. With the first one that the hub sent goes what was fetched for it and is still there: it is not
    /// between what we have and the next one.
    fn remove(&mut self, i: usize) -> Option<Verified> {
        let Entry { event, fetched, .. } = self.queue.remove(i)?;
        self.ids.remove(event.event().event_id());
        if !fetched && self.queue.iter().take(i).all(|entry| entry.fetched) {
            self.reached = None;
            for left in self.queue.drain(..i) {
                self.ids.remove(left.event.event().event_id());
            }
        }
        Some(event)
    }
}

impl Room {
    /// The event to backfill from, if something waits: one that waits, or a parent that is missing.
    pub fn backfill_from(&self, known: &Known) -> Option<EventId> {
        let sent = self.waiting.queue.iter().find(|entry| !entry.fetched)?.event.event().event_id();
        let first = self.waiting.queue.front()?;
        let is_missing = |id: &&EventId| match first.anchored {
            true => self.whereabouts(id, known) == Whereabouts::Unknown,
            false => first.fetched && !self.waiting.contains(id),
        };
        let missing = first.event.event().prev_events().iter().find(is_missing);
        let reached = self.waiting.reached.as_ref().filter(|_| !first.anchored);
        Some(missing.or(reached).unwrap_or(sent).clone())
    }

    /// How many events wait.
    pub fn waiting(&self) -> usize {
        self.waiting.queue.len()
    }

    /// The event behind the gap: what to ask the hub for the state before, when the gap cannot be filled.
    pub fn first_waiting(&self) -> Option<&Event> {
        self.waiting.iter().next()
    }

    /// Takes what the hub answered when asked to backfill from `from`, oldest first.
    pub fn fill_gap(&mut self, from: &EventId, events: &[Verified], known: &Known) -> Filled {
        let mut change = self.change();
        let is_stuck = match self.backfill_from(known) {
            // Otherwise the world went on while the hub answered.
            Some(wanted) if wanted == *from => !self.take_page(from, events, known, &mut change),
            _ => false,
        };
        self.drain(known, &mut change);
        change.faults.extend(self.left_out());
        match self.backfill_from(known) {
            None => Filled::Closed(change),
            Some(_) if is_stuck => Filled::Stuck(change),
            Some(from) => Filled::Missing { change, from },
        }
    }

    /// Places the event behind the gap, and what was fetched after it, although parents are missing, and says so by a
    /// [`FaultKind::MissingParent`] for each. What else waits is to be looked at anew.
    ///
    /// `state` and `auth_chain` are what the hub gave as the state before [`Room::first_waiting`]; without them, or if
    /// they do not hold, what the gap did to the state stays unknown. If the state shows that we were not in the room,
    /// the event is history.
    pub fn give_up_gap(&mut self, state: &[Verified], auth_chain: &[Verified], known: &Known) -> Change {
        let mut change = self.change();
        match self.check_state(state, auth_chain) {
            Ok(()) if !state.is_empty() => {
                let mut before = RoomState::default();
                state.iter().for_each(|event| before.apply(event.event()));
                let is_anchored = self.waiting.queue.front().is_some_and(|first| first.anchored);
                if !is_anchored && !before.has_server(self.us.as_str()) {
                    self.shelve_first(&mut change);
                    self.drain(known, &mut change);
                    change.faults.extend(self.left_out());
                    return change;
                }
                self.adopt_state(state, auth_chain, known, &mut change);
            }
            Ok(()) => {}
            Err(fault) => change.faults.push(fault),
        }
        let count = self.waiting.first_sent().map_or(0, |i| i + 1);
        self.waiting.reached = None;
        for _ in 0..count {
            let Some(event) = self.waiting.remove(0) else { break };
            let missing = |id: &&EventId| self.whereabouts(id, known) == Whereabouts::Unknown;
            let event_id = event.event().event_id();
            let fault = |id: &EventId| Fault { event_id: event_id.clone(), kind: FaultKind::MissingParent(id.clone()) };
            change.faults.extend(event.event().prev_events().iter().filter(missing).map(fault));
            self.take(&event, known, &mut change);
        }
        self.drain(known, &mut change);
        change.faults.extend(self.left_out());
        change
    }

    /// Keeps an event until it can be placed.
    pub(super) fn wait(&mut self, event: &Verified, known: &Known, mut change: Change) -> Received {
        if self.waiting() >= MAX_WAITING {
            return Received::Refused(Refusal::Busy);
        }
        change.events.push(without_position(event.event(), Status::Waiting, false));
        let event_id = event.event().event_id();
        if event.content_changed() {
            change.faults.push(Fault { event_id: event_id.clone(), kind: FaultKind::ContentChanged });
        }
        self.waiting.push(Verified::stored(event.event().clone()));
        Received::Waiting { change, from: self.backfill_from(known).unwrap_or_else(|| event_id.clone()) }
    }

    /// Places what waits and needs to wait no longer.
    pub(super) fn drain(&mut self, known: &Known, change: &mut Change) {
        while let Some(event) = self.next_ready(known).and_then(|i| self.waiting.remove(i)) {
            self.take(&event, known, change);
        }
    }

    /// Whether all parents of an event are in the order that began when we came in.
    pub(super) fn follows(&self, event: &Event, known: &Known) -> bool {
        event.prev_events().iter().all(|id| self.whereabouts(id, known) == Whereabouts::Here)
    }

    fn next_ready(&self, known: &Known) -> Option<usize> {
        let is_ready = |(i, entry): (usize, &Entry)| {
            let mut parents = entry.event.event().prev_events().iter().map(|id| self.whereabouts(id, known));
            let fits = |parent| match parent {
                Whereabouts::Here => true,
                Whereabouts::Past => entry.anchored,
                Whereabouts::Unknown => false,
            };
            // What was fetched is placed in the hub's order, and only so.
            (i == 0 || !entry.anchored) && parents.all(fits)
        };
        let mut entries = self.waiting.queue.iter().enumerate();
        entries.find(|entry| is_ready(*entry)).map(|(i, _)| i)
    }

    /// Takes a page of the hub's order. Returns whether it told anything.
    fn take_page(&mut self, from: &EventId, events: &[Verified], known: &Known, change: &mut Change) -> bool {
        if self.waiting.queue.front().is_some_and(|first| first.anchored) {
            return self.take_parent(from, events, known, change);
        }
        let before = self.waiting();
        match self.fetch_back(events, known) {
            Whereabouts::Here => self.waiting.anchor(),
            Whereabouts::Past => self.shelve_first(change),
            // What is on the page may all be waiting: then the way goes on from the oldest of it.
            Whereabouts::Unknown => {
                let oldest = events.first().map(|event| event.event().event_id());
                let is_new = oldest.is_some_and(|oldest| oldest != from);
                self.waiting.reached = oldest.cloned();
                return (is_new || self.waiting() > before) && self.waiting() < MAX_GAP;
            }
        }
        true
    }

    /// Takes a parent that was not between what we have and its child. In the hub's order it must be older than what
    /// we have; if it is not, the hub has left it out, and it gets its place.
    fn take_parent(&mut self, id: &EventId, events: &[Verified], known: &Known, change: &mut Change) -> bool {
        let parent = events.iter().find(|event| event.event().event_id() == id);
        let Some(parent) = parent.filter(|event| self.check_event(event.event()).is_ok()) else { return false };
        match self.follows(parent.event(), known) {
            true => self.waiting.push_fetched(parent.clone()),
            false => self.shelve(parent.event(), change),
        }
        true
    }

    /// Walks back through what the hub gave, and keeps what is new. Returns where the walk ended.
    fn fetch_back(&mut self, events: &[Verified], known: &Known) -> Whereabouts {
        for event in events.iter().rev() {
            let id = event.event().event_id();
            if self.waiting.contains(id) {
                continue;
            }
            match self.whereabouts_on_the_way(event.event(), known) {
                Whereabouts::Unknown if self.waiting() >= MAX_GAP => break,
                Whereabouts::Unknown if self.check_event(event.event()).is_ok() => {
                    self.waiting.push_fetched(event.clone());
                }
                Whereabouts::Unknown => {}
                end => return end,
            }
        }
        Whereabouts::Unknown
    }

    /// The same as [`Room::whereabouts`], except for what our own LPDUs became and has no place: it may be an echo that
    /// came after our last user had left, and gets its place when we come back by `/send`. If it is from before our
    /// stay, the way leads to something else from there.
    fn whereabouts_on_the_way(&self, event: &Event, known: &Known) -> Whereabouts {
        let id = event.event_id();
        let is_echo = event.lpdu_hash().is_some() && event.sender().server_str() == self.us.as_str();
        let is_outlier = || self.brief(id, known).is_some_and(|brief| brief.status == Status::Outlier);
        match self.whereabouts(id, known) {
            Whereabouts::Past if is_echo && is_outlier() => Whereabouts::Unknown,
            other => other,
        }
    }

    /// The first event that waits is from before our stay.
    fn shelve_first(&mut self, change: &mut Change) {
        self.waiting.drop_fetched();
        if let Some(event) = self.waiting.remove(0) {
            self.shelve(event.event(), change);
        }
    }
}
