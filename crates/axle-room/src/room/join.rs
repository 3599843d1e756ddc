//! Entering a room that another server is the hub of.

use std::collections::{HashMap, HashSet};

use axle_protocol::auth::{self, AuthState as _, MapState, Membership};
use axle_protocol::{Event, EventId, EventKind};

use super::change::{Change, Fault, FaultKind, Refusal, Status};
use super::known::Known;
use super::participant::names_other_auth_events;
use super::place::{FirstEvent, without_position};
use super::state::RoomState;
use super::verified::Verified;
use super::{Room, STAY_SPACING, Whereabouts, stay};

/// What `send_join` answered, every event checked.
#[derive(Debug, Clone)]
pub struct JoinAnswer {
    /// The LPDU that we sent.
    pub lpdu: Event,
    /// The finished join.
    pub event: Verified,
    /// The state before it.
    pub state: Vec<Verified>,
    /// What authorises the state.
    pub auth_chain: Vec<Verified>,
}

impl Room {
    /// Enters the room, for the first time or again. [`Room::lookup`] should be asked about all events of the answer.
    ///
    /// The state is stored as outliers that are current. The room does not keep them in memory: nothing may be looked up
    /// for another command before the change is durable. The join gets position 0, or one far enough above the end of
    /// the last stay for the history between them.
    pub fn join(&mut self, answer: JoinAnswer, known: &Known) -> Result<Change, Refusal> {
        let join = answer.event.event();
        self.check_event(join)?;
        if join.lpdu_hash() != answer.lpdu.lpdu_hash() || answer.event.content_changed() {
            return Err(Refusal::Unfit("the answer is not the join that was sent".into()));
        }
        if self.whereabouts(join.event_id(), known) == Whereabouts::Here {
            // Its echo was faster, and the gap before it has been filled.
            return Ok(self.change());
        }
        self.check_state(&answer.state, &answer.auth_chain).map_err(Refusal::Unsound)?;
        let mut before = RoomState::default();
        answer.state.iter().for_each(|event| before.apply(event.event()));
        self.check_hub_of_state(&before, join)?;
        self.policy.check(join, &before)?;

        let mut change = self.change();
        if names_other_auth_events(join, &before) {
            // By its auth events the hub has said what it holds to be current; the state that it gave is another.
            let kind = FaultKind::OutdatedAuthEvents;
            change.faults.push(Fault { event_id: join.event_id().clone(), kind });
        }
        self.adopt_state(&answer.state, &answer.auth_chain, known, &mut change);
        let position = self.head.as_ref().map_or(0, |head| (stay(head.position) + 1) * STAY_SPACING);
        std::mem::take(&mut self.waiting).into_sent().for_each(|event| self.shelve(event.event(), &mut change));
        self.place(join, position, known, FirstEvent::AfterJoin, &mut change);
        // What is not in the state of before the join may be behind it.
        self.lpdus.came_in();
        Ok(change)
    }

    /// Whether each state event is allowed by its auth events. The chain's own events are checked as far as the hub
    /// gave their auth events with them, since some hubs give one level only.
    pub(super) fn check_state(&self, state: &[Verified], chain: &[Verified]) -> Result<(), Fault> {
        let all = state.iter().chain(chain).map(|event| (event.event().event_id(), event.event()));
        let all: HashMap<&EventId, &Event> = all.collect();
        for event in chain {
            let complete = event.event().auth_events().iter().all(|id| all.contains_key(id));
            self.check_state_event(event.event(), &all, complete)?;
        }
        state.iter().try_for_each(|event| self.check_state_event(event.event(), &all, true))
    }

    /// Makes these events current state.
    pub(super) fn adopt_state(&mut self, state: &[Verified], chain: &[Verified], known: &Known, change: &mut Change) {
        let in_state: HashSet<&EventId> = state.iter().map(|event| event.event().event_id()).collect();
        let is_new = |id: &EventId| !in_state.contains(id) && self.whereabouts(id, known) == Whereabouts::Unknown;
        let chain_only = chain.iter().map(Verified::event).filter(|event| is_new(event.event_id()));
        change.events.extend(chain_only.map(|event| without_position(event, Status::Outlier, false)));
        for event in state.iter().map(Verified::event) {
            if self.state.current_of(event) != Some(event.event_id()) {
                self.state.apply(event);
                change.events.push(without_position(event, Status::Outlier, true));
            }
        }
        // What was made of an LPDU of ours may be there, and does not come again.
        state.iter().chain(chain).for_each(|event| self.settle(event.event(), change));
    }

    fn check_state_event(&self, event: &Event, all: &HashMap<&EventId, &Event>, strict: bool) -> Result<(), Fault> {
        let fault =
            |reason: String| Fault { event_id: event.event_id().clone(), kind: FaultKind::UnauthorisedState(reason) };
        self.check_event(event).map_err(|refusal| fault(refusal.to_string()))?;
        if !event.is_state() {
            return Err(fault("it is not a state event".into()));
        }
        if !strict {
            return Ok(());
        }
        let mut before = MapState::default();
        for id in event.auth_events() {
            let auth_event = all.get(id).ok_or_else(|| fault(format!("its auth event {id} is missing")))?;
            before.apply(auth_event);
        }
        if event.membership() == Some(Membership::Knock.as_str()) && event.state_key() == Some(event.sender().as_str())
        {
            // Its auth events do not name the join rule ("Auth Events Selection"), so its own rule cannot be checked.
            return Ok(());
        }
        auth::check(event, &before).map_err(|error| fault(error.0))
    }

    fn check_hub_of_state(&self, state: &RoomState, join: &Event) -> Result<(), Refusal> {
        let hub = state.create().map(|create| create.hub()).ok_or(Refusal::NoRoom)?;
        if join.hub_server() != Some(&hub) {
            return Err(Refusal::NotHub(hub));
        }
        let create = |state: &RoomState| state.get("m.room.create", "").cloned();
        if self.state.create().is_some() && create(&self.state) != create(state) {
            return Err(Refusal::Unfit("the room was another one when we were in it last".into()));
        }
        Ok(())
    }

    /// Whether an event is a finished one of this room.
    pub(super) fn check_event(&self, event: &Event) -> Result<(), Refusal> {
        if *event.room_id() != self.id || event.version() != self.version {
            return Err(Refusal::Unfit("the event is of another room or room version".into()));
        }
        if event.kind() != EventKind::Pdu {
            return Err(Refusal::Unfit("the event is not finished".into()));
        }
        Ok(())
    }
}
