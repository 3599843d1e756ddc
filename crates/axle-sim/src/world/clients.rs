//! What people do in rooms that are not encrypted, and how their clients ask for it.

use axle_protocol::UserId;
use axle_protocol::auth::Membership;

use super::{Event, World};
use crate::node::{ClientRequest, Deed};
use crate::plan::HEAL_MS;
use crate::wire::NodeId;

/// Users of each server.
pub(super) const USERS: u64 = 2;
/// A client asks again at most this long after the first time, in milliseconds.
const LONGEST_RETRY_MS: u64 = 20_000;

impl World {
    pub(super) fn create(&mut self, room: usize) {
        let (Some(id), Some(plan)) = (self.rooms.get(room).cloned(), self.plan.rooms.get(room).cloned()) else {
            return;
        };
        self.with(plan.hub, |node, ctx| node.create_room(ctx, &id, &plan));
    }

    pub(super) fn join(&mut self, node: NodeId, room: usize) {
        let Some(user) = user(node, 0).filter(|_| self.rng.per_mille(850)) else { return };
        let membership = match self.plan.rooms.get(room) {
            Some(plan) if plan.join_rule == "knock" => Membership::Knock,
            _ => Membership::Join,
        };
        self.deed(node, room, &user, &Deed::Member(user.to_string(), membership));
    }

    pub(super) fn act(&mut self) {
        let node = self.rng.below(self.plan.servers as u64) as NodeId;
        let room = self.rng.below(self.rooms.len() as u64) as usize;
        let number = self.rng.below(USERS);
        let target = self.rng.below(self.plan.servers as u64) as NodeId;
        let target = user(target, self.rng.below(USERS));
        let (Some(sender), Some(target)) = (user(node, number), target) else { return };
        let deed = self.choose(node, room, &sender, &target);
        self.deed(node, room, &sender, &deed);
    }

    fn choose(&mut self, node: NodeId, room: usize, sender: &UserId, target: &UserId) -> Deed {
        let text = format!("{} at {}", sender.localpart(), self.now);
        let own = |membership| Deed::Member(sender.to_string(), membership);
        let other = |membership| Deed::Member(target.to_string(), membership);
        match self.rng.below(100) {
            0..=52 => Deed::Say(text),
            53..=58 => Deed::Topic(text),
            59..=60 => Deed::JoinRule(self.rng.pick(&["public", "public", "knock", "invite"]).unwrap_or(&"public")),
            61..=72 => own(Membership::Join),
            73..=75 => own(Membership::Leave),
            76..=78 => own(Membership::Knock),
            79..=80 => other(Membership::Leave),
            81 => self.banned(room).map_or(Deed::Say(text), |user| Deed::Member(user, Membership::Leave)),
            82..=84 => other(Membership::Ban),
            85..=89 => other(Membership::Invite),
            90..=93 => Deed::Level(target.to_string(), 50 * self.rng.below(3) as i64),
            _ => self.redact(node, room).unwrap_or(Deed::Say(text)),
        }
    }

    /// Somebody who is banned from a room.
    pub(super) fn banned(&mut self, room: usize) -> Option<String> {
        let log = self.nodes.get(self.plan.rooms.get(room)?.hub)?.disk.rooms.get(self.rooms.get(room)?)?;
        let is_ban = |id: &axle_protocol::EventId| log.event(id).is_some_and(|event| event.membership() == Some("ban"));
        let banned = log.state.iter().filter(|((kind, _), id)| kind == "m.room.member" && is_ban(id));
        let banned: Vec<&String> = banned.map(|((_, user), _)| user).collect();
        self.rng.pick(&banned).map(|user| (*user).clone())
    }

    fn redact(&mut self, node: NodeId, room: usize) -> Option<Deed> {
        let log = self.nodes.get(node)?.disk.rooms.get(self.rooms.get(room)?)?;
        let ids: Vec<_> = log.timeline.values().collect();
        self.rng.pick(&ids).map(|id| Deed::Redact((*id).clone()))
    }

    /// A client asks its server for something, and perhaps again: it cannot know whether it was heard.
    pub(super) fn deed(&mut self, node: NodeId, room: usize, sender: &UserId, deed: &Deed) {
        let Some(room_id) = self.rooms.get(room).cloned() else { return };
        self.next_request += 1;
        let txn = format!("c{}", self.next_request);
        let request = ClientRequest { room_id, sender: sender.clone(), deed: deed.clone(), txn };
        while self.rng.per_mille(self.plan.retries) {
            let again = self.now + self.rng.between(1, LONGEST_RETRY_MS);
            self.at(again.min(HEAL_MS), Event::Ask(node, room, request.clone()));
        }
        self.ask(node, room, &request);
    }

    pub(super) fn ask(&mut self, node: NodeId, room: usize, request: &ClientRequest) {
        let Some(plan) = self.plan.rooms.get(room).cloned() else { return };
        self.note(|| format!("{} in {}: {:?} ({})", request.sender, request.room_id, request.deed, request.txn));
        self.with(node, |node, ctx| node.act(ctx, &plan, request));
    }

    /// Somebody at each hub says something; after a lie, everybody does, and who is not in the room joins it.
    pub(super) fn epilogue(&mut self) {
        if self.plan.lie.is_some() {
            for node in 0..self.plan.servers {
                let inside =
                    self.rooms.first().is_some_and(|id| self.nodes.get(node).is_some_and(|n| n.participates(id)));
                if let Some(joiner) = user(node, 0).filter(|_| !inside) {
                    self.deed(node, 0, &joiner, &Deed::Member(joiner.to_string(), Membership::Join));
                }
            }
            return self.everybody_speaks();
        }
        if self.plan.quiet_end {
            return;
        }
        for room in 0..self.rooms.len() {
            let Some(hub) = self.plan.rooms.get(room).map(|plan| plan.hub) else { continue };
            self.speak(hub, room);
        }
    }

    pub(super) fn everybody_speaks(&mut self) {
        for room in 0..self.rooms.len() {
            (0..self.plan.servers).for_each(|node| self.speak(node, room));
        }
    }

    fn speak(&mut self, node: NodeId, room: usize) {
        for sender in (0..USERS).filter_map(|number| user(node, number)) {
            let text = format!("and so it goes, at {}", self.now);
            self.deed(node, room, &sender, &Deed::Say(text));
        }
    }
}

pub(super) fn user(node: NodeId, number: u64) -> Option<UserId> {
    UserId::parse(format!("@u{number}:s{node}.example")).ok()
}
