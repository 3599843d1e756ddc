//! What goes wrong: servers crash, cannot reach each other, or lie.

use super::{Event, World};
use crate::node::{Node, Out, Timer};
use crate::plan::HEAL_MS;
use crate::wire::{Body, Envelope, NodeId, Request};

/// The moment that a crash waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// A disk writes.
    Writing,
    /// A transaction is on its way.
    Sending,
}

impl World {
    /// A crash of some server: now, or in the next moment at which it hurts.
    pub(super) fn crash(&mut self) {
        match self.rng.below(4) {
            0 | 1 => {
                let id = self.rng.below(self.plan.servers as u64) as NodeId;
                self.crash_of(id);
            }
            2 => self.armed.push(Moment::Writing),
            _ => self.armed.push(Moment::Sending),
        }
    }

    pub(super) fn crash_if_armed(&mut self, id: NodeId, epoch: u64, out: &[Out]) {
        let writes = out.iter().find_map(|out| match out {
            Out::Timer(at, Timer::Flush) => Some(*at),
            _ => None,
        });
        let sends = out.iter().any(|out| {
            matches!(out, Out::Send(Envelope { body: Body::Request(Request::Send { pdus, .. }), .. }) if !pdus.is_empty())
        });
        for moment in std::mem::take(&mut self.armed) {
            match (moment, writes) {
                _ if self.now >= HEAL_MS || self.is_liar(id) => {}
                (Moment::Writing, Some(at)) => {
                    let time = self.rng.between(self.now, at.saturating_sub(1));
                    self.at(time, Event::CrashOf(id, epoch, "a server crashes while it writes"));
                }
                (Moment::Sending, _) if sends => {
                    let time = self.now + self.rng.between(1, 2 * self.plan.max_delay);
                    self.at(
                        time.min(HEAL_MS),
                        Event::CrashOf(id, epoch, "a server crashes while a transaction is on its way"),
                    );
                }
                _ => self.armed.push(moment),
            }
        }
    }

    fn is_liar(&self, id: NodeId) -> bool {
        self.plan.lie.is_some() && self.plan.rooms.first().is_some_and(|room| room.hub == id)
    }

    /// Returns whether it crashed: it must be up, and what a liar has told must stay told.
    pub(super) fn crash_of(&mut self, id: NodeId) -> bool {
        if self.is_liar(id) || !self.nodes.get(id).is_some_and(|node| node.up) {
            return false;
        }
        self.note(|| format!("s{id} crashes"));
        self.with(id, |node, ctx| node.crash(ctx));
        if self.plan.rooms.first().is_some_and(|room| room.hub == id) {
            self.checker.groups.hub_crashes();
        }
        self.put_back_some(id);
        let back = (self.now + self.rng.between(50, 20_000)).min(HEAL_MS);
        self.at(back, Event::Restart(id));
        true
    }

    pub(super) fn restart(&mut self, id: NodeId) {
        self.note(|| format!("s{id} restarts"));
        self.nodes.get_mut(id).into_iter().for_each(|node| node.up = true);
        self.with(id, |node, ctx| node.restart(ctx));
    }

    pub(super) fn cut_some(&mut self) {
        let one = self.rng.below(self.plan.servers as u64) as NodeId;
        let other = self.rng.below(self.plan.servers as u64) as NodeId;
        let alone = self.rng.per_mille(400);
        for node in 0..self.plan.servers {
            if alone || node == other {
                self.cut.insert((one.min(node), one.max(node)));
            }
        }
        let cut = self.cut.clone();
        self.note(|| format!("cut: {cut:?}"));
        let back = (self.now + self.rng.between(1_000, 25_000)).min(HEAL_MS);
        self.at(back, Event::Mend);
    }

    /// The hub of the first room lies to a participant, or gets ready to lie to whoever joins next.
    pub(super) fn lie(&mut self) {
        let (Some(lie), Some(room_id), Some(hub)) =
            (self.plan.lie, self.rooms.first().cloned(), self.plan.rooms.first().map(|room| room.hub))
        else {
            return;
        };
        let inside = |node: &&Node| node.id != hub && node.up && node.participates(&room_id);
        let inside: Vec<NodeId> = self.nodes.iter().filter(inside).map(|node| node.id).collect();
        let victim = self.rng.pick(&inside).copied();
        let victim = victim.filter(|_| !lie.is_about_a_join());
        self.note(|| format!("s{hub} is about to lie: {lie:?}"));
        self.with(hub, |node, ctx| node.lie(ctx, &room_id, victim));
    }
}
