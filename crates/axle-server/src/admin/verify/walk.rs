//! Along a room's order: the state is folded again, and each event judged on the state before it.

use std::collections::HashMap;

use axle_protocol::auth::{AuthState as _, may_redact};
use axle_protocol::event::Hash;
use axle_protocol::{Event, EventId, EventKind, RoomId, ServerName};
use axle_room::{AccessPolicy as _, AuthRules, RoomState, begins_stay, judge};
use axle_store::{EventStatus, RoomSnapshot, RoomSummary, Store, StoreError, StoredEvent};

use super::VerifyReport;
use super::keys::Keys;
use super::refused::Unplaced;
use super::state;

/// At how many positions of a room the stored state before them is compared with the fold.
const SAMPLES: u64 = 16;

/// An event with a place in the room's order.
pub(super) struct Place {
    pub(super) stored: StoredEvent,
    /// `None`: it cannot be read.
    pub(super) event: Option<Event>,
}

/// Which events carry which LPDUs.
pub(super) type Lpdus = HashMap<Hash, EventId>;

/// How far the walk has come.
pub(super) struct Walk<'a> {
    store: &'a dyn Store,
    us: &'a ServerName,
    room_id: &'a RoomId,
    /// The state after the last event.
    state: RoomState,
    /// Whether the events here were judged when they came, on the state that is folded: not so in history.
    live: bool,
    /// What is folded is not to be relied on: the stored state is taken instead.
    lost: bool,
    last: Option<Last>,
    steps: u64,
    sample_every: u64,
    unplaced: Unplaced<'a>,
}

/// The event before.
struct Last {
    event_id: EventId,
    position: i64,
    stream: i64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(store: &'a dyn Store, us: &'a ServerName, room: &'a RoomSummary, unplaced: Unplaced<'a>) -> Self {
        Self {
            store,
            us,
            room_id: &room.room_id,
            state: RoomState::default(),
            live: false,
            lost: false,
            last: None,
            steps: 0,
            sample_every: (room.events / SAMPLES).max(1),
            unplaced,
        }
    }

    /// Looks up by which event each LPDU of a page is known.
    pub(super) async fn known_lpdus(&self, places: &[Place]) -> Result<Lpdus, StoreError> {
        let events = places.iter().filter_map(|place| place.event.as_ref());
        let hashes: Vec<Hash> = events.filter_map(|event| event.lpdu_hash().copied()).collect();
        Ok(self.store.known_lpdus(self.room_id, &hashes).await?.into_iter().collect())
    }

    /// Takes the next event.
    pub(super) async fn step(
        &mut self,
        place: &Place,
        lpdus: &Lpdus,
        keys: &mut Keys<'_>,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        let stored = &place.stored;
        let Some(position) = stored.position else { return Ok(()) };
        let begins = begins_stay(position);
        self.live = begins || (self.live && self.last.as_ref().is_some_and(|last| last.position + 1 == position));
        if self.live {
            self.unplaced.until(stored.stream, &mut self.state, keys, report).await?;
        }
        if begins || self.lost {
            self.take_stored_state(position).await?;
        }
        if begins {
            self.check_create(place, report).await?;
        }
        match &place.event {
            Some(event) => self.check(stored, event, begins, lpdus, report).await?,
            None => self.lost = true,
        }
        self.last = Some(Last { event_id: stored.event_id.clone(), position, stream: stored.stream });
        self.unplaced.passed(position);
        self.steps += 1;
        Ok(())
    }

    /// After the last event: what is stored as current state must be what the events made.
    pub(super) async fn finish(
        mut self,
        snapshot: &RoomSnapshot,
        keys: &mut Keys<'_>,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        self.unplaced.rest(&mut self.state, keys, report).await?;
        let at_head = self.last.as_ref().map(|last| last.position) == snapshot.head.as_ref().map(|head| head.position);
        if self.live && at_head && !self.lost {
            state::compare_current(self.store, &self.state, snapshot, report).await?;
        }
        Ok(())
    }

    async fn check(
        &mut self,
        stored: &StoredEvent,
        event: &Event,
        begins: bool,
        lpdus: &Lpdus,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        self.check_parents(stored, event, begins, report).await?;
        self.check_lpdu(stored, event, lpdus, report);
        if !self.live {
            return Ok(());
        }
        if self.steps.is_multiple_of(self.sample_every) {
            state::compare_before(self.store, &self.state, stored, report).await?;
        }
        let first = self.first_carrier(event, lpdus).await?;
        // What brought us in was judged by the rules alone: its auth events are the hub's business.
        let brought_in = begins && event.event_type() != "m.room.create";
        let verdict = match brought_in {
            true => AuthRules.check(event, &self.state).map_err(|error| error.to_string()),
            false => judge_stored(self.store, event, &self.state, first.as_ref()).await?,
        };
        if let Err(reason) = verdict
            && !self.left_early(event).await?
        {
            report.add(Some(self.room_id), Some(&stored.event_id), format!("it should have been rejected: {reason}"));
        }
        self.check_redaction(stored, event, report).await?;
        self.state.apply(event);
        Ok(())
    }

    /// Whether an event is what became of an LPDU of a user whose leave was taken before the hub had it: it was not judged
    /// ([`axle_room::Room::leave_early`]).
    async fn left_early(&self, event: &Event) -> Result<bool, StoreError> {
        let is_ours = event.sender().server_str() == self.us.as_str() && event.lpdu_hash().is_some();
        let member = self.state.get("m.room.member", event.sender().as_str()).filter(|_| is_ours && !self.is_hub());
        let Some(member) = member else { return Ok(false) };
        let member = self.store.event(member).await?;
        let parsed = member.and_then(|stored| Event::parse(stored.json.as_bytes(), stored.room_version).ok());
        Ok(parsed.is_some_and(|event| event.kind() == EventKind::Lpdu))
    }

    /// Whether the state that a join brought is that of a room of this version.
    async fn check_create(&self, place: &Place, report: &mut VerifyReport) -> Result<(), StoreError> {
        if place.event.as_ref().is_some_and(|event| event.event_type() == "m.room.create") {
            return Ok(());
        }
        let mut problem = |text: String| report.add(Some(self.room_id), Some(&place.stored.event_id), text);
        let id = self.state.get("m.room.create", "");
        let stored = match id {
            Some(id) => self.store.event(id).await?,
            None => None,
        };
        let version = place.stored.room_version;
        let create = stored.and_then(|stored| Event::parse(stored.json.as_bytes(), version).ok());
        let told = create.as_ref().map(|create| create.content().get("room_version").and_then(|told| told.as_str()));
        match told {
            None => problem("the state that this join brought has no create event".into()),
            Some(told) if told != Some(version.as_str()) => {
                let told = told.unwrap_or("nothing");
                problem(format!("the create event's content.room_version is not {:?} but {told:?}", version.as_str()));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Whether the event follows from what stands before it.
    async fn check_parents(
        &mut self,
        stored: &StoredEvent,
        event: &Event,
        begins: bool,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        let mut problem = |text: String| report.add(Some(self.room_id), Some(&stored.event_id), text);
        let Some(last) = &self.last else {
            let is_first = event.prev_events().is_empty();
            report.gaps += u64::from(!is_first);
            return Ok(());
        };
        if event.event_type() == "m.room.create" {
            problem("a second create event, or not the first".into());
        }
        if event.prev_events().is_empty() {
            problem("it names no event before it".into());
        }
        if self.live && !begins && stored.stream <= last.stream {
            problem(format!("it arrived before {}, which stands before it", last.event_id));
        }
        if event.prev_events() == std::slice::from_ref(&last.event_id) {
            return Ok(());
        }
        if self.is_hub() {
            problem(format!("it does not follow {}, which stands before it", last.event_id));
        }
        if !self.has_all_parents(event, last.position).await? {
            report.gaps += 1;
            // The hub may have told the state after the gap.
            if self.live && !begins {
                self.take_stored_state(last.position + 1).await?;
            }
        }
        Ok(())
    }

    /// Whether the parents of an event stand before it, or were rejected.
    async fn has_all_parents(&self, event: &Event, before: i64) -> Result<bool, StoreError> {
        let parents = self.store.events(event.prev_events()).await?;
        let is_there = |id: &EventId| {
            let parent = parents.iter().find(|parent| parent.event_id == *id && parent.room_id == *self.room_id);
            parent.is_some_and(|parent| {
                parent.status == EventStatus::Rejected || parent.position.is_some_and(|position| position <= before)
            })
        };
        Ok(event.prev_events().iter().all(is_there))
    }

    fn check_lpdu(&self, stored: &StoredEvent, event: &Event, lpdus: &Lpdus, report: &mut VerifyReport) {
        if event.lpdu_hash().is_some_and(|hash| !lpdus.contains_key(hash)) {
            report.add(Some(self.room_id), Some(&stored.event_id), "it is not found by its LPDU hash");
        }
    }

    /// The accepted event that an event's LPDU is known by, if it is another one.
    async fn first_carrier(&self, event: &Event, lpdus: &Lpdus) -> Result<Option<EventId>, StoreError> {
        let first = event.lpdu_hash().and_then(|hash| lpdus.get(hash)).filter(|first| *first != event.event_id());
        let Some(first) = first else { return Ok(None) };
        let carrier = self.store.event(first).await?;
        Ok(carrier.filter(|carrier| carrier.position.is_some()).map(|carrier| carrier.event_id))
    }

    /// Whether what a redaction redacts is marked so, and only if it may be.
    async fn check_redaction(
        &self,
        stored: &StoredEvent,
        event: &Event,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        let Some(target_id) = event.redacts() else { return Ok(()) };
        let Some(target) = self.store.event(&target_id).await? else { return Ok(()) };
        // What came later was not known to be redacted by somebody who may.
        if target.room_id != *self.room_id || target.stream > stored.stream {
            return Ok(());
        }
        let Ok(author) = Event::parse(target.json.as_bytes(), target.room_version) else { return Ok(()) };
        let may = may_redact(&self.state, event.sender(), author.sender());
        let mut problem = |text: String| report.add(Some(self.room_id), Some(&target_id), text);
        if may && target.redacted_by.is_none() {
            problem(format!("it is redacted by {}, but not marked so", stored.event_id));
        } else if !may && target.redacted_by.as_ref() == Some(&stored.event_id) {
            problem(format!("it is marked as redacted by {}, whose sender may not", stored.event_id));
        }
        Ok(())
    }

    fn is_hub(&self) -> bool {
        self.state.create().is_some_and(|create| create.hub() == *self.us)
    }

    async fn take_stored_state(&mut self, position: i64) -> Result<(), StoreError> {
        self.lost = false;
        self.state = RoomState::default();
        for stored in self.store.state_before(self.room_id, position).await? {
            // What cannot be read is told of where it stands.
            if let Ok(event) = Event::parse(stored.json.as_bytes(), stored.room_version) {
                self.state.apply(&event);
            }
        }
        Ok(())
    }
}

/// Judges an event as a participant does when it comes. `Err`: why it is to be rejected.
pub(super) async fn judge_stored(
    store: &dyn Store,
    event: &Event,
    state: &RoomState,
    first: Option<&EventId>,
) -> Result<Result<(), String>, StoreError> {
    let current = event.select_auth_events(state);
    let others: Vec<EventId> = event.auth_events().iter().filter(|id| !current.contains(id)).cloned().collect();
    let mut known = HashMap::new();
    for stored in store.events(&others).await? {
        let parsed = Event::parse(stored.json.as_bytes(), stored.room_version).ok();
        let key =
            parsed.as_ref().and_then(|event| Some((event.event_type().to_owned(), event.state_key()?.to_owned())));
        known.extend(key.filter(|_| stored.room_id == *event.room_id()).map(|key| (stored.event_id, key)));
    }
    Ok(judge(event, state, &AuthRules, first, &|id| known.get(id).cloned()).map_err(|kind| kind.to_string()))
}
