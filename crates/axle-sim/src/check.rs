//! What must hold, during a run and in its end.
//!
//! - A hub's log is one chain of events that the auth rules allow, no LPDU and no client's request twice, and its state is
//!   what its log makes it.
//! - A participant's log since it came in is the hub's, without gaps, up to the end if it is still in; and so is its state.
//! - What a client or a server was told is in the room, is there. What was queued is there or was refused.
//! - Queues keep the order, one transaction is on its way at a time, a repeated one is the same and is worked through
//!   once, and nobody gets events of a room that their server is not in.
//! - A lie is noticed by the participant that it is told to, as [`crate::lies::Lie`] says; and nobody is blamed who has
//!   done nothing.

mod groups;
mod logs;
mod notice;
mod queues;
mod thieves;

use std::collections::{BTreeMap, BTreeSet};

use axle_protocol::event::Hash;
use axle_protocol::{Event, EventId, RoomId};
use axle_room::Fault;

use crate::coverage::Coverage;
use crate::device::DeviceFact;
use crate::disk::{ClientTxn, RoomLog};
use crate::node::{Fact, Lied, Node};
use crate::wire::NodeId;
use queues::Queues;

pub use groups::{Groups, Races, is_together};
pub use notice::LieOutcome;

/// Collects facts, and what is wrong with them.
#[derive(Default)]
pub struct Checker {
    /// What did not hold.
    pub violations: Vec<String>,
    /// What a hub did that it should not have.
    pub lied: Option<Lied>,
    /// What became of it; known in the end.
    pub outcome: Option<LieOutcome>,
    /// What the run has brought about.
    pub coverage: Coverage,
    /// What devices have done.
    pub groups: Groups,
    answered: BTreeSet<(RoomId, EventId)>,
    requests: BTreeMap<ClientTxn, EventId>,
    taken: BTreeSet<(RoomId, Hash)>,
    queued: BTreeSet<(RoomId, Hash)>,
    refused: BTreeSet<(RoomId, Hash)>,
    joins: BTreeSet<(NodeId, EventId)>,
    faults: Vec<(NodeId, RoomId, Fault)>,
    checked: BTreeMap<(NodeId, RoomId), i64>,
    queues: Queues,
}

impl Checker {
    /// Notes a fact, and checks what it is about.
    pub fn fact(&mut self, node: &Node, fact: Fact) {
        match fact {
            Fact::ClientAnswered(room_id, event_id, txn) => self.client_answered(node, room_id, event_id, txn),
            // The client knows, and may ask for something else.
            Fact::ClientRefused(..) => {}
            Fact::LpduTaken(room_id, hash) => {
                self.taken.insert((room_id, hash));
            }
            Fact::LpduQueued(room_id, hash) => {
                self.queued.insert((room_id, hash));
            }
            Fact::LpduRefused(room_id, hash) => {
                self.coverage.note("an LPDU is refused");
                self.refused.insert((room_id, hash));
            }
            Fact::Processed(from, txn_id) => {
                let wrong = self.queues.processed(node, from, txn_id);
                self.violations.extend(wrong);
            }
            Fact::Transmitted(to, txn_id, items) => {
                let wrong = self.queues.transmitted(node, &to, &txn_id, &items);
                self.violations.extend(wrong);
            }
            Fact::JoinAnswered(_, event_id) => {
                self.joins.insert((node.id, event_id));
            }
            Fact::Fault(room_id, fault) => self.faults.push((node.id, room_id, fault)),
            Fact::Lied(lied) => self.lied = Some(lied),
            Fact::Parked(to, id) => self.wrong(format!("s{}: {id} was set aside, not delivered to {to}", node.id)),
            Fact::Wrong(reason) => self.wrong(format!("s{}: {reason}", node.id)),
            Fact::Durable(room_id) => self.check_growth(node, &room_id),
            Fact::Covered(what) => self.coverage.note(what),
        }
    }

    /// Notes what a device has done, and checks it.
    pub fn device_fact(&mut self, device: usize, fact: &DeviceFact) {
        if let DeviceFact::Covered(what) = fact {
            self.coverage.note(what);
        }
        let wrong = self.groups.fact(device, fact);
        self.violations.extend(wrong);
    }

    /// A server has an older disk: what was checked there is to be checked again.
    pub fn put_back(&mut self, node: NodeId) {
        self.checked.retain(|(other, _), _| *other != node);
        self.groups.put_back();
    }

    /// How many events clients were told of.
    pub fn answered(&self) -> usize {
        self.answered.len()
    }

    /// Checks everything, when all faults have ended and time enough has passed.
    pub fn finish(&mut self, nodes: &[Node], hubs: &BTreeMap<RoomId, NodeId>) {
        for node in nodes {
            let swallowed = self.lied.as_ref().and_then(|lied| lied.swallowed);
            if let Some(unfinished) = node.unfinished(swallowed.as_ref()) {
                self.wrong(format!("s{}: {unfinished}", node.id));
            }
        }
        for (room_id, hub) in hubs {
            let Some(log) = nodes.get(*hub).and_then(|node| node.disk.rooms.get(room_id)) else { continue };
            self.check_hub_log(room_id, log);
            self.check_promises(room_id, log);
            let wrong = self.queues.check_recipients(room_id, log);
            self.violations.extend(wrong);
            for node in nodes.iter().filter(|node| node.id != *hub) {
                self.check_follower(node, room_id, log);
            }
            self.coverage.read(log);
        }
        self.check_faults();
        self.check_noticed(nodes, hubs);
    }

    fn wrong(&mut self, violation: String) {
        self.violations.push(violation);
    }

    /// The lie that was told in a room, if it is in the log of its hub.
    fn is_lied_in_log(&self, room_id: &RoomId) -> bool {
        self.lied.as_ref().is_some_and(|lied| lied.room_id == *room_id && lied.is_in_log())
    }

    /// The lie that this server was told in a room.
    fn told(&self, node: NodeId, room_id: &RoomId) -> Option<&Lied> {
        let is_told = |lied: &&Lied| lied.room_id == *room_id && (lied.victim == node || lied.is_in_log());
        self.lied.as_ref().filter(is_told)
    }

    fn client_answered(&mut self, node: &Node, room_id: RoomId, event_id: EventId, txn: Option<ClientTxn>) {
        if let Some(txn) = txn {
            let first = self.requests.entry(txn.clone()).or_insert_with(|| event_id.clone()).clone();
            if first != event_id && self.told(node.id, &room_id).is_none() {
                self.wrong(format!("s{}: {txn} was answered by {first} and then by {event_id}", node.id));
            }
        }
        self.answered.insert((room_id, event_id));
    }

    /// What clients and servers were told is true.
    fn check_promises(&mut self, room_id: &RoomId, log: &RoomLog) {
        let ids: BTreeSet<&EventId> = log.timeline.values().collect();
        let lpdus: BTreeSet<&Hash> = log.ordered().filter_map(|(_, event)| event.lpdu_hash()).collect();
        let is_untrue = |id: &EventId| self.lied.as_ref().is_some_and(|lied| lied.about == *id);
        let is_swallowed = |hash: &Hash| self.lied.as_ref().is_some_and(|lied| lied.swallowed == Some(*hash));
        let is_lost = |hash: &Hash| !lpdus.contains(hash) && !is_swallowed(hash);
        let lost = self.answered.iter().filter(|(room, id)| room == room_id && !ids.contains(id) && !is_untrue(id));
        let lost = lost.map(|(_, id)| format!("{room_id}: {id} was acknowledged and is lost"));
        let lost_lpdus = self.taken.iter().filter(|(room, hash)| room == room_id && is_lost(hash));
        let lost_lpdus = lost_lpdus.map(|_| format!("{room_id}: an LPDU was acknowledged and is lost"));
        let queued = self.queued.difference(&self.refused);
        let lost_queued = queued.filter(|(room, hash)| room == room_id && is_lost(hash));
        let lost_queued = lost_queued.map(|_| format!("{room_id}: a queued LPDU is neither in the room nor refused"));
        let lost: Vec<String> = lost.chain(lost_lpdus).chain(lost_queued).collect();
        lost.into_iter().for_each(|reason| self.wrong(reason));
    }
}

/// The events since the participant last came in.
fn last_stay(log: &RoomLog) -> Vec<&Event> {
    let mut stay = Vec::new();
    let mut next: Option<i64> = None;
    for (position, id) in log.timeline.iter().rev() {
        if next.is_some_and(|next| position + 1 != next) {
            break;
        }
        stay.extend(log.event(id));
        next = Some(*position);
    }
    stay.reverse();
    stay
}
