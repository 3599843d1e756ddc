//! Events whose parents are missing, and how what is missing is fetched.
//!
//! Whatever waits is stored first, so that the hub may be answered. When the gap is filled, or given up, it is placed:
//! parents before children, otherwise in order of arrival.

use std::collections::{HashSet, VecDeque};

use axle_protocol::{Event, EventId};

use super::Room;
use super::change::{Change, Fault, FaultKind, Refusal, Status};
use super::known::Known;
use super::place::without_position;
use super::verified::Verified;

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
    /// It waits for an earlier one: ask the hub to backfill from `missing` (unless that is under way), and hand the
    /// answer to [`Room::fill_gap`].
    Waiting {
        /// What to store.
        change: Change,
        /// The event to ask for.
        missing: EventId,
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
        /// The event to ask for.
        missing: EventId,
    },
    /// The answer brought nothing, or too much: see [`Room::give_up_gap`].
    Stuck {
        /// What to store.
        change: Change,
        /// The event that is not to be had.
        missing: EventId,
    },
}

/// Events that wait for their parents, in order of arrival; those fetched to fill the gap before all others.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: VecDeque<(Verified, Origin)>,
    ids: HashSet<EventId>,
}

/// How a waiting event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The hub sent it; it is stored.
    Sent,
    /// We fetched it; it is in memory only.
    Fetched,
}

impl Waiting {
    /// Adds an event that the hub sent.
    pub(super) fn push(&mut self, event: Verified) {
        self.ids.insert(event.event().event_id().clone());
        self.queue.push_back((event, Origin::Sent));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.queue.iter().map(|(event, _)| event.event())
    }

    pub(super) fn contains(&self, id: &EventId) -> bool {
        self.ids.contains(id)
    }

    fn push_fetched(&mut self, event: Verified) {
        self.ids.insert(event.event().event_id().clone());
        self.queue.push_front((event, Origin::Fetched));
    }

    fn drop_fetched(&mut self) {
        self.queue.retain(|(_, origin)| *origin == Origin::Sent);
        self.ids = self.iter().map(|event| event.event_id().clone()).collect();
    }

    /// Takes out the first event of which no parent waits. Ids are hashes, so no two events are each other's
    /// ancestors: while something waits, there is one.
    fn take_orphan(&mut self) -> Option<Verified> {
        let has_none =
            |(event, _): &(Verified, Origin)| !event.event().prev_events().iter().any(|id| self.contains(id));
        let i = self.queue.iter().position(has_none)?;
        self.remove(i)
    }

    fn remove(&mut self, i: usize) -> Option<Verified> {
        let (event, _) = self.queue.remove(i)?;
        self.ids.remove(event.event().event_id());
        Some(event)
    }
}

impl Room {
    /// The event to backfill from, if something waits. `known` answers [`Room::lookup`] of no events.
    pub fn missing_parent(&self, known: &Known) -> Option<EventId> {
        let unknown = |id: &&EventId| !self.is_settled(id, known) && !self.waiting.contains(id);
        self.waiting.iter().find_map(|event| event.prev_events().iter().find(unknown)).cloned()
    }

    /// How many events wait.
    pub fn waiting(&self) -> usize {
        self.waiting.queue.len()
    }

    /// The first event that waits: what to ask the hub for the state before, when a gap cannot be filled.
    pub fn first_waiting(&self) -> Option<&Event> {
        self.waiting.iter().next()
    }

    /// Takes what the hub answered to a backfill, oldest first.
    pub fn fill_gap(&mut self, events: &[Verified], known: &Known) -> Filled {
        let before = self.missing_parent(known);
        let mut is_history = false;
        for event in events.iter().rev() {
            let id = event.event().event_id();
            if self.is_settled(id, known) {
                break;
            }
            // State that we got when we joined: all that was fetched is from before our time.
            is_history = known.events.get(id).is_some_and(|brief| !brief.settled) && !self.waiting.contains(id);
            if is_history || self.waiting() >= MAX_GAP {
                break;
            }
            if !self.waiting.contains(id) && self.check_event(event.event()).is_ok() {
                self.waiting.push_fetched(event.clone());
            }
        }
        if is_history {
            self.waiting.drop_fetched();
            while let Some(id) = self.missing_parent(known) {
                self.before_us.insert(id);
            }
        }
        let mut change = self.change();
        self.drain(known, &mut change);
        match self.missing_parent(known) {
            None => Filled::Closed(change),
            Some(missing) if Some(&missing) == before.as_ref() || self.waiting() >= MAX_GAP => {
                Filled::Stuck { change, missing }
            }
            Some(missing) => Filled::Missing { change, missing },
        }
    }

    /// Places what waits although parents are missing, and says so by a [`FaultKind::MissingParent`] for each.
    ///
    /// `state` and `auth_chain` are what the hub gave as the state before [`Room::first_waiting`]; without them, or if
    /// they do not hold, what the gap did to the state stays unknown.
    pub fn give_up_gap(&mut self, state: &[Verified], auth_chain: &[Verified], known: &Known) -> Change {
        let mut change = self.change();
        if !state.is_empty() {
            match self.check_state(state, auth_chain) {
                Ok(()) => self.adopt_state(state, auth_chain, known, &mut change),
                Err(fault) => change.faults.push(fault),
            }
        }
        while let Some(event) = self.waiting.take_orphan() {
            let missing = event.event().prev_events().iter().filter(|id| !self.is_settled(id, known));
            let event_id = event.event().event_id();
            let fault = |id: &EventId| Fault { event_id: event_id.clone(), kind: FaultKind::MissingParent(id.clone()) };
            change.faults.extend(missing.map(fault));
            self.take(&event, known, &mut change);
        }
        change
    }
    /// Keeps an event until its parents come.
    pub(super) fn wait(&mut self, event: &Verified, known: &Known, mut change: Change) -> Received {
        if self.waiting() >= MAX_WAITING {
            return Received::Refused(Refusal::Busy);
        }
        change.events.push(without_position(event.event(), Status::Waiting, false));
        if event.content_changed() {
            let kind = FaultKind::ContentChanged;
            change.faults.push(Fault { event_id: event.event().event_id().clone(), kind });
        }
        self.waiting.push(Verified::stored(event.event().clone()));
        let own = || event.event().prev_events().first().unwrap_or(event.event().event_id()).clone();
        let missing = self.missing_parent(known).unwrap_or_else(own);
        Received::Waiting { change, missing }
    }

    /// Places what waits and needs to wait no longer.
    pub(super) fn drain(&mut self, known: &Known, change: &mut Change) {
        while let Some(event) = self.next_ready(known).and_then(|i| self.waiting.remove(i)) {
            self.take(&event, known, change);
        }
    }

    fn next_ready(&self, known: &Known) -> Option<usize> {
        self.waiting.iter().position(|event| !self.has_unknown_parent(event, known))
    }

    pub(super) fn has_unknown_parent(&self, event: &Event, known: &Known) -> bool {
        event.prev_events().iter().any(|id| !self.is_settled(id, known))
    }
}
