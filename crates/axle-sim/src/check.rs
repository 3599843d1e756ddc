//! What must hold, during a run and in its end.

use std::collections::{BTreeMap, BTreeSet};

use axle_protocol::auth::{self, MapState};
use axle_protocol::event::Hash;
use axle_protocol::{Event, EventId, RoomId};
use axle_room::{Fault, FaultKind};

use crate::disk::RoomLog;
use crate::node::{Fact, Lied, Node};
use crate::plan::Lie;
use crate::wire::NodeId;

/// Collects facts, and what is wrong with them.
#[derive(Default)]
pub struct Checker {
    /// What did not hold.
    pub violations: Vec<String>,
    /// What a hub did that it should not have.
    pub lied: Option<Lied>,
    answered: BTreeSet<(RoomId, EventId)>,
    taken: BTreeSet<(RoomId, Hash)>,
    faults: Vec<(NodeId, RoomId, Fault)>,
    checked: BTreeMap<(NodeId, RoomId), i64>,
}

impl Checker {
    /// Notes a fact, and checks what it is about.
    pub fn fact(&mut self, node: &Node, fact: Fact) {
        match fact {
            Fact::ClientAnswered(room_id, event_id) => {
                self.answered.insert((room_id, event_id));
            }
            Fact::LpduTaken(room_id, hash) => {
                self.taken.insert((room_id, hash));
            }
            Fact::Fault(room_id, fault) => self.faults.push((node.id, room_id, fault)),
            Fact::Parked(to, id) => self.wrong(format!("s{}: {id} was set aside, not delivered to {to}", node.id)),
            Fact::Wrong(reason) => self.wrong(format!("s{}: {reason}", node.id)),
            Fact::Durable(room_id) => self.check_growth(node, &room_id),
        }
    }

    /// How many events clients were told of.
    pub fn answered(&self) -> usize {
        self.answered.len()
    }

    /// Checks everything, when all faults have ended and time enough has passed.
    pub fn finish(&mut self, nodes: &[Node], hubs: &BTreeMap<RoomId, NodeId>) {
        for node in nodes {
            if let Some(unfinished) = node.unfinished() {
                self.wrong(format!("s{}: {unfinished}", node.id));
            }
        }
        for (room_id, hub) in hubs {
            let Some(log) = nodes.get(*hub).and_then(|node| node.disk.rooms.get(room_id)) else { continue };
            self.check_hub_log(room_id, log);
            self.check_promises(room_id, log);
            for node in nodes.iter().filter(|node| node.id != *hub) {
                self.check_follower(node, room_id, log);
            }
        }
        self.check_faults();
        if let Some(lied) = self.lied.clone() {
            self.check_noticed(&lied, nodes);
        }
    }

    fn wrong(&mut self, violation: String) {
        self.violations.push(violation);
    }

    fn is_lied_in(&self, room_id: &RoomId) -> bool {
        self.lied.as_ref().is_some_and(|lied| lied.room_id == *room_id)
    }

    /// Whether each event that is new on disk follows the one before it.
    fn check_growth(&mut self, node: &Node, room_id: &RoomId) {
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
            if !follows && !self.is_lied_in(room_id) {
                self.wrong(format!("s{}: {id} at {position} of {room_id} does not follow what is before it", node.id));
            }
            before = Some((*position, id));
        }
        if let Some((position, _)) = before {
            self.checked.insert((node.id, room_id.clone()), position);
        }
    }

    /// The hub's log is one chain of allowed events, no LPDU twice, and its state is what the log makes it.
    fn check_hub_log(&mut self, room_id: &RoomId, log: &RoomLog) {
        if self.is_lied_in(room_id) {
            return;
        }
        let mut state = MapState::default();
        let mut fold: BTreeMap<(String, String), EventId> = BTreeMap::new();
        let mut lpdus = BTreeSet::new();
        let mut parent: Option<&EventId> = None;
        let mut wrong = Vec::new();
        for (_, event) in log.ordered() {
            let id = event.event_id();
            if event.prev_events().iter().collect::<Vec<_>>() != parent.into_iter().collect::<Vec<_>>() {
                wrong.push(format!("{id} has other parents than the event before it"));
            }
            if let Err(error) = auth::check(event, &state) {
                wrong.push(format!("{id} is forbidden: {error}"));
            }
            if let Err(error) = auth::check_auth_events(event, &state, &|_| None) {
                wrong.push(format!("{id} has the wrong auth events: {error}"));
            }
            if event.lpdu_hash().is_some_and(|hash| !lpdus.insert(*hash)) {
                wrong.push(format!("{id} is an LPDU's second event"));
            }
            if let Some(key) = event.state_key() {
                fold.insert((event.event_type().into(), key.into()), id.clone());
            }
            state.apply(event);
            parent = Some(id);
        }
        if fold != log.state {
            wrong.push("the state is not what the log makes it".into());
        }
        wrong.into_iter().for_each(|reason| self.wrong(format!("{room_id}: {reason}")));
    }

    /// What clients and servers were told is true.
    fn check_promises(&mut self, room_id: &RoomId, log: &RoomLog) {
        let ids: BTreeSet<&EventId> = log.timeline.values().collect();
        let lpdus: BTreeSet<&Hash> = log.ordered().filter_map(|(_, event)| event.lpdu_hash()).collect();
        let lost = self.answered.iter().filter(|(room, id)| room == room_id && !ids.contains(id));
        let lost = lost.map(|(_, id)| format!("{room_id}: {id} was acknowledged and is lost"));
        let lost_lpdus = self.taken.iter().filter(|(room, hash)| room == room_id && !lpdus.contains(hash));
        let lost_lpdus = lost_lpdus.map(|_| format!("{room_id}: an LPDU was acknowledged and is lost"));
        let lost: Vec<String> = lost.chain(lost_lpdus).collect();
        lost.into_iter().for_each(|reason| self.wrong(reason));
    }

    /// A participant's log since it came in is the hub's, without gaps; up to the end if it is still in.
    fn check_follower(&mut self, node: &Node, room_id: &RoomId, hub: &RoomLog) {
        let Some(log) = node.disk.rooms.get(room_id) else { return };
        let about = self.lied.as_ref().filter(|lied| lied.room_id == *room_id).map(|lied| lied.about.clone());
        let counts = |id: &&EventId| about.as_ref() != Some(*id);
        let theirs: Vec<&EventId> = hub.timeline.values().filter(counts).collect();
        let ours: Vec<&EventId> = last_stay(log).into_iter().filter(counts).collect();
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
        if node.participates(room_id) && about.is_none() && log.state != hub.state {
            self.wrong(format!("s{}: its state of {room_id} is not the hub's", node.id));
        }
    }

    /// Nobody is accused who has done nothing.
    fn check_faults(&mut self) {
        let undue = self.faults.iter().filter(|(_, room_id, _)| !self.is_lied_in(room_id));
        let undue: Vec<String> = undue
            .map(|(node, room_id, fault)| format!("s{node}: an honest hub of {room_id} is blamed: {}", fault.kind))
            .collect();
        undue.into_iter().for_each(|reason| self.wrong(reason));
    }

    /// A lie is noticed by whom the draft lets notice it.
    fn check_noticed(&mut self, lied: &Lied, nodes: &[Node]) {
        let Some(victim) = nodes.get(lied.victim) else { return };
        let Some(log) = victim.disk.rooms.get(&lied.room_id) else { return };
        let was_there = last_stay(log).contains(&&lied.before);
        if !was_there || !victim.participates(&lied.room_id) {
            return;
        }
        let of_event = |fault: &Fault| fault.event_id == lied.about;
        let noticed = |wanted: &dyn Fn(&Fault) -> bool| {
            let mine = |(node, room_id, _): &&(NodeId, RoomId, Fault)| *node == lied.victim && *room_id == lied.room_id;
            self.faults.iter().filter(mine).any(|(_, _, fault)| wanted(fault))
        };
        let noticed = match lied.lie {
            Lie::Forbidden => noticed(&|fault| of_event(fault) && matches!(fault.kind, FaultKind::Forbidden(_))),
            Lie::Replayed => noticed(&|fault| of_event(fault) && matches!(fault.kind, FaultKind::ReplayedLpdu(_))),
            Lie::Forged => noticed(&|fault| of_event(fault) && matches!(fault.kind, FaultKind::BadSignature(_))),
            Lie::Tampered => noticed(&|fault| of_event(fault) && fault.kind == FaultKind::ContentChanged),
            Lie::Dropped => noticed(&|fault| fault.kind == FaultKind::MissingParent(lied.about.clone())),
            // Nothing in what one participant gets shows it. It shows when logs are compared.
            Lie::TwoHistories => log.timeline.values().any(|id| *id == lied.about),
            // The order is in the events themselves: nothing is wrong in the end.
            Lie::Reordered => true,
        };
        if !noticed {
            self.wrong(format!("s{}: did not notice {:?} ({})", lied.victim, lied.lie, lied.about));
        }
    }
}

/// The events since the participant last came in.
fn last_stay(log: &RoomLog) -> Vec<&EventId> {
    let mut stay = Vec::new();
    let mut next: Option<i64> = None;
    for (position, id) in log.timeline.iter().rev() {
        if next.is_some_and(|next| position + 1 != next) {
            break;
        }
        stay.push(id);
        next = Some(*position);
    }
    stay.reverse();
    stay
}
