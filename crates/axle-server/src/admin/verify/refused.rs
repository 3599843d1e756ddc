//! What has no place in a room's order. Rejected events must be such that they would be rejected again.
//!
//! When an event was judged is not stored, but it can be told: one whose parents were there when it came was judged at
//! once; one that had to wait for them, at some moment after the last of them got its place.

use std::collections::{HashSet, VecDeque};

use axle_protocol::{Event, EventId, EventKind};
use axle_room::RoomState;
use axle_store::{EventStatus, RoomSnapshot, Store, StoreError, StoredEvent};

use super::keys::Keys;
use super::walk::judge_stored;
use super::{VerifyReport, event};

/// Events read at once.
const PAGE: usize = 200;
/// For so many events after its parents an event may have waited for its turn.
const MAX_TURNS: usize = axle_room::room::gap::MAX_WAITING;
/// How many rejected events are followed at a time; beyond, the oldest are let go.
const MAX_FOLLOWED: usize = 2_000;

/// The events of a room without a place, in order of arrival, along with the walk.
pub(super) struct Unplaced<'a> {
    store: &'a dyn Store,
    snapshot: &'a RoomSnapshot,
    /// What arrived later is not looked at.
    end: i64,
    read_to: i64,
    page: VecDeque<StoredEvent>,
    waiting: HashSet<&'a EventId>,
    position: Option<i64>,
    followed: VecDeque<Rejected>,
}

/// A rejected event for which no state has been met yet on which it is refused.
struct Rejected {
    event: Event,
    /// The place of its last parent.
    after: Option<i64>,
    turns: usize,
}

impl<'a> Unplaced<'a> {
    pub(super) fn new(store: &'a dyn Store, snapshot: &'a RoomSnapshot, end: i64) -> Self {
        let waiting = snapshot.waiting.iter().map(|event| &event.event_id).collect();
        let (page, followed) = (VecDeque::new(), VecDeque::new());
        Self { store, snapshot, end, read_to: 0, page, waiting, position: None, followed }
    }

    /// The walk has come to an event that arrived at this stream position; `state` is the state before it. A leave that
    /// ended a stay, and that the hub did not send back, is added to it.
    pub(super) async fn until(
        &mut self,
        stream: i64,
        state: &mut RoomState,
        keys: &mut Keys<'_>,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        while let Some(stored) = self.next_before(stream).await? {
            let event = event::verify(self.store, &stored, keys, report).await?;
            let Some(event) = event else { continue };
            match stored.status {
                EventStatus::Rejected if !self.waiting.contains(&stored.event_id) => {
                    self.follow(&stored, event).await?;
                }
                EventStatus::Outlier if event.kind() == EventKind::Lpdu => {
                    self.judge_followed(state, report).await?;
                    state.apply(&event);
                }
                _ => {}
            }
        }
        self.judge_followed(state, report).await
    }

    /// The walk has passed the event at this position.
    pub(super) fn passed(&mut self, position: i64) {
        self.position = Some(position);
    }

    /// The walk is over; `state` is the current state.
    pub(super) async fn rest(
        &mut self,
        state: &mut RoomState,
        keys: &mut Keys<'_>,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        self.position = Some(i64::MAX);
        self.until(i64::MAX, state, keys, report).await?;
        for rejected in std::mem::take(&mut self.followed) {
            self.complain(&rejected.event, report);
        }
        Ok(())
    }

    async fn next_before(&mut self, stream: i64) -> Result<Option<StoredEvent>, StoreError> {
        if self.page.is_empty() && self.read_to < self.end {
            self.page = self.store.unplaced(&self.snapshot.room_id, self.read_to, PAGE).await?.into();
            self.read_to = self.page.back().map_or(self.end, |last| last.stream);
        }
        let is_next = self.page.front().is_some_and(|next| next.stream < stream && next.stream <= self.end);
        Ok(if is_next { self.page.pop_front() } else { None })
    }

    async fn follow(&mut self, stored: &StoredEvent, event: Event) -> Result<(), StoreError> {
        let parents = self.store.events(event.prev_events()).await?;
        let late = parents.iter().filter(|parent| parent.stream > stored.stream);
        let after = late.filter_map(|parent| parent.position).max();
        let turns = if after.is_some() { MAX_TURNS } else { 1 };
        if self.followed.len() >= MAX_FOLLOWED {
            self.followed.pop_front();
        }
        self.followed.push_back(Rejected { event, after, turns });
        Ok(())
    }

    /// Lets go those that are refused on this state.
    async fn judge_followed(&mut self, state: &RoomState, report: &mut VerifyReport) -> Result<(), StoreError> {
        for mut rejected in std::mem::take(&mut self.followed) {
            if rejected.after > self.position {
                self.followed.push_back(rejected);
                continue;
            }
            if self.is_refused(&rejected, state).await? {
                continue;
            }
            rejected.turns -= 1;
            match rejected.turns {
                0 => self.complain(&rejected.event, report),
                _ => self.followed.push_back(rejected),
            }
        }
        Ok(())
    }

    async fn is_refused(&self, rejected: &Rejected, state: &RoomState) -> Result<bool, StoreError> {
        let event = &rejected.event;
        if let Some(hash) = event.lpdu_hash() {
            let known = self.store.known_lpdus(&self.snapshot.room_id, &[*hash]).await?;
            // An LPDU is found by what brought it first. If that is an event that waited, what else carries the LPDU
            // cannot be told: the event may be refused as a replay.
            let waited = rejected.after.is_some();
            if known.into_iter().next().is_some_and(|(_, first)| waited || first != *event.event_id()) {
                return Ok(true);
            }
        }
        Ok(judge_stored(self.store, event, state, None).await?.is_err())
    }

    fn complain(&self, event: &Event, report: &mut VerifyReport) {
        let text = "it is stored as rejected, but nothing is wrong with it";
        report.add(Some(&self.snapshot.room_id), Some(event.event_id()), text);
    }
}
