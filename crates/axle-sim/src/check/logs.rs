//! What must hold of the rooms' logs.

use std::collections::{BTreeMap, BTreeSet};

use axle_protocol::auth::{self, MapState};
use axle_protocol::{Event, EventId, RoomId};

use super::{Checker, last_stay};
use crate::disk::RoomLog;
use crate::lies::Lie;
use crate::node::{Node, REQUEST};

impl Checker {
    /// Whether each event that is new on disk follows the one before it.
    pub(super) fn check_growth(&mut self, node: &Node, room_id: &RoomId) {
        let Some(log) = node.disk.rooms.get(room_id) else { return };
        let last = self.checked.get(&(node.id, room_id.clone())).copied().unwrap_or(i64::MIN);
        let mut before: Option<(i64, &EventId)> =
            log.timeline.range(..=last).next_back().map(|(position, id)| (*position, id));
        for (position, id) in log.timeline.range(last.saturating_add(1)..) {
            let parents = log.event(id).map(Event::prev_events).unwrap_or_default();
            let follows = match before {
                Some((at, parent)) if at + 1 == *position => parents.contains(parent),
                _ => true,
            };
            if !follows && self.told(node.id, room_id).is_none() {
                self.wrong(format!("s{}: {id} at {position} of {room_id} does not follow what is before it", node.id));
            }
            before = Some((*position, id));
        }
        if let Some((position, _)) = before {
            self.checked.insert((node.id, room_id.clone()), position);
        }
    }

    /// The hub's log is one chain of allowed events, no LPDU and no request twice, and its state is what the log makes it.
    pub(super) fn check_hub_log(&mut self, room_id: &RoomId, log: &RoomLog) {
        if self.is_lied_in_log(room_id) {
            return;
        }
        let mut walk = Walk::default();
        log.ordered().for_each(|(_, event)| walk.pass(event));
        if walk.fold != log.state {
            walk.wrong.push("the state is not what the log makes it".into());
        }
        walk.wrong.into_iter().for_each(|reason| self.wrong(format!("{room_id}: {reason}")));
    }

    /// A participant's log since it came in is the hub's, without gaps; up to the end if it is still in.
    pub(super) fn check_follower(&mut self, node: &Node, room_id: &RoomId, hub: &RoomLog) {
        let Some(log) = node.disk.rooms.get(room_id) else { return };
        let told = self.told(node.id, room_id).cloned();
        if told.as_ref().is_some_and(|lied| lied.lie == Lie::OldState) {
            // What it then takes for forbidden is missing: it follows the state that it was given.
            return;
        }
        let is_about =
            |id: &EventId| told.as_ref().is_some_and(|lied| lied.about == *id || lied.replaced.as_ref() == Some(id));
        let theirs: Vec<&EventId> = hub.timeline.values().filter(|id| !is_about(id)).collect();
        let ours = last_stay(log).into_iter().map(Event::event_id);
        let ours: Vec<&EventId> = ours.filter(|id| !is_about(id)).collect();
        let Some(start) = ours.first().and_then(|first| theirs.iter().position(|id| id == first)) else {
            return self.wrong(format!("s{}: its log of {room_id} begins with what the hub does not have", node.id));
        };
        let end = if node.participates(room_id) { theirs.len() } else { (start + ours.len()).min(theirs.len()) };
        if theirs.get(start..end) != Some(&ours[..]) {
            let (have, want) = (ours.len(), end - start);
            return self.wrong(format!(
                "s{}: its log of {room_id} is not the hub's: {have} events where there are {want}",
                node.id
            ));
        }
        if node.participates(room_id) && told.is_none() && log.state != hub.state {
            self.wrong(format!("s{}: its state of {room_id} is not the hub's", node.id));
        }
    }
}

/// A walk along a hub's log.
#[derive(Default)]
struct Walk {
    state: MapState,
    fold: BTreeMap<(String, String), EventId>,
    lpdus: BTreeSet<axle_protocol::event::Hash>,
    requests: BTreeSet<String>,
    parent: Option<EventId>,
    wrong: Vec<String>,
}

impl Walk {
    fn pass(&mut self, event: &Event) {
        let id = event.event_id();
        if event.prev_events() != self.parent.as_slice() {
            self.wrong.push(format!("{id} has other parents than the event before it"));
        }
        if let Err(error) = auth::check(event, &self.state) {
            self.wrong.push(format!("{id} is forbidden: {error}"));
        }
        if let Err(error) = auth::check_auth_events(event, &self.state, &|_| None) {
            self.wrong.push(format!("{id} has the wrong auth events: {error}"));
        }
        if event.lpdu_hash().is_some_and(|hash| !self.lpdus.insert(*hash)) {
            self.wrong.push(format!("{id} is an LPDU's second event"));
        }
        let request = event.content().get(REQUEST).and_then(|value| value.as_str());
        // A membership may change by the same request twice: its endpoints have no transaction ids.
        let request = request.filter(|_| event.membership().is_none());
        if request.is_some_and(|request| !self.requests.insert(request.to_owned())) {
            self.wrong.push(format!("{id} is the second event of a client's request"));
        }
        if let Some(key) = event.state_key() {
            self.fold.insert((event.event_type().into(), key.into()), id.clone());
        }
        self.state.apply(event);
        self.parent = Some(id.clone());
    }
}
