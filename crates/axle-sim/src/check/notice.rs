//! Whether a lie was noticed by whom the draft lets notice it.

use std::collections::BTreeMap;

use axle_protocol::{Event, RoomId};
use axle_room::Fault;

use super::{Checker, last_stay};
use crate::disk::RoomLog;
use crate::lies::Lie;
use crate::node::{Lied, Node};
use crate::plan::LAST_WORD_MS;
use crate::wire::NodeId;

/// What became of a lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LieOutcome {
    /// It was noticed.
    Noticed,
    /// It was not noticed, which is a violation.
    Missed,
    /// It did not come to the victim: it had left, or has the truth from elsewhere.
    NotHeard,
    /// There is nothing to be noticed.
    Harmless,
}

impl Checker {
    /// Nobody is accused who has done nothing.
    pub(super) fn check_faults(&mut self) {
        let undue = self.faults.iter().filter(|(node, room_id, _)| self.told(*node, room_id).is_none());
        let undue: Vec<String> = undue
            .map(|(node, room_id, fault)| format!("s{node}: an honest hub of {room_id} is blamed: {}", fault.kind))
            .collect();
        undue.into_iter().for_each(|reason| self.wrong(reason));
    }

    pub(super) fn check_noticed(&mut self, nodes: &[Node], hubs: &BTreeMap<RoomId, NodeId>) {
        let Some(lied) = self.lied.clone() else { return };
        let hub = hubs.get(&lied.room_id).and_then(|hub| nodes.get(*hub));
        let (Some(victim), Some(hub)) = (nodes.get(lied.victim), hub) else { return };
        let outcome = match hub.disk.rooms.get(&lied.room_id) {
            _ if lied.lie == Lie::Reordered => LieOutcome::Harmless,
            Some(hub) if self.was_heard(&lied, victim, hub) => match self.is_noticed(&lied) {
                true => LieOutcome::Noticed,
                false => LieOutcome::Missed,
            },
            _ => LieOutcome::NotHeard,
        };
        self.outcome = Some(outcome);
        if outcome == LieOutcome::Missed {
            self.wrong(format!("s{}: did not notice {:?} ({})", lied.victim, lied.lie, lied.about));
        }
    }

    fn is_noticed(&self, lied: &Lied) -> bool {
        let theirs = self.faults.iter().filter(|(node, room, _)| *node == lied.victim && *room == lied.room_id);
        let shows = |fault: &Fault| {
            // An event that came with a gap before it was judged without what is in the gap.
            let is_odd = fault.event_id == lied.about && lied.lie == Lie::OutdatedAuthEvents;
            is_odd || lied.lie.shows_as(&fault.kind) == Some(true)
        };
        theirs.into_iter().any(|(_, _, fault)| shows(fault))
    }

    /// Whether the victim got everything by which the lie shows.
    fn was_heard(&self, lied: &Lied, victim: &Node, hub: &RoomLog) -> bool {
        if let Some(join) = &lied.join {
            return self.joins.contains(&(victim.id, join.clone()));
        }
        let Some(log) = victim.disk.rooms.get(&lied.room_id) else { return false };
        let stay = last_stay(log);
        if !stay.iter().any(|event| *event.event_id() == lied.before) || !victim.participates(&lied.room_id) {
            return false;
        }
        match lied.lie {
            // It may have had the true event first.
            Lie::TwoHistories | Lie::AlteredEcho => stay.iter().any(|event| *event.event_id() == lied.about),
            Lie::Tampered => {
                let of_victim = log.event(&lied.about).map(Event::json);
                of_victim.is_some_and(|json| Some(json) != hub.event(&lied.about).map(Event::json))
            }
            // It must have the LPDU's first event, to know it again.
            Lie::Replayed => {
                let hash = hub.event(&lied.about).and_then(Event::lpdu_hash);
                let first = hub.ordered().find(|(_, event)| event.lpdu_hash() == hash);
                first.is_some_and(|(_, first)| log.events.contains_key(first.event_id()))
            }
            // A later LPDU of theirs, from when nothing failed any more.
            Lie::Swallowed => stay.iter().any(|event| {
                let is_theirs = event.sender().server_str() == victim.me.name.as_str() && event.lpdu_hash().is_some();
                is_theirs && event.origin_server_ts() >= LAST_WORD_MS as i64
            }),
            _ => true,
        }
    }
}
