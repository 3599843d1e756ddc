//! Disks that are older copies, in rooms whose hubs can get everything back.

use std::collections::BTreeSet;

use axle_protocol::{EventId, RoomId};

use super::{Event, World};
use crate::disk::{Disk, RoomLog};
use crate::plan::HEAL_MS;
use crate::rng::Rng;
use crate::wire::NodeId;

/// How long until it is looked again whether a disk may be put back, in milliseconds.
const PAUSE_MS: u64 = 500;

/// Copies of disks.
pub(super) struct Backups {
    rng: Rng,
    copies: Vec<(NodeId, Disk)>,
}

impl Backups {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed).fork(6), copies: Vec::new() }
    }
}

impl World {
    pub(super) fn prepare_backups(&mut self) {
        if self.plan.restores == 0 {
            return;
        }
        for _ in 0..self.plan.backups {
            let time = self.backups.rng.between(5_000, HEAL_MS - 1);
            self.at(time, Event::BackUp);
        }
        for _ in 0..self.plan.restores {
            let time = self.backups.rng.between(10_000, HEAL_MS - 1);
            let hub = self.backups.rng.pick(&self.plan.rooms).map_or(0, |room| room.hub);
            self.at(time, Event::CrashToOlder(hub));
        }
    }

    /// Copies every disk, as it is durable.
    pub(super) fn back_up(&mut self) {
        self.backups.copies.extend(self.nodes.iter().map(|node| (node.id, node.disk.clone())));
    }

    /// A server that has crashed may find an older copy of its disk, if what came after that is not lost for good.
    pub(super) fn put_back_some(&mut self, id: NodeId) {
        let chance = self.backups.rng.next();
        let fit = self.fit(id);
        let Some(copy) = Rng::new(chance).pick(&fit).map(|copy| (*copy).clone()) else { return };
        self.note(|| format!("s{id} will have an older disk"));
        self.checker.coverage.note("a hub comes back with an older disk");
        self.checker.put_back(id);
        if let Some(node) = self.nodes.get_mut(id) {
            node.put_back(copy, self.plan.servers);
        }
    }

    /// Crashes a hub, as soon as there is an older copy of its disk for it.
    pub(super) fn crash_to_older(&mut self, id: NodeId) {
        if !self.fit(id).is_empty() {
            self.crash_of(id);
        } else if self.now + PAUSE_MS < HEAL_MS {
            self.at(self.now + PAUSE_MS, Event::CrashToOlder(id));
        }
    }

    /// The copies that a server may be put back from.
    fn fit(&self, id: NodeId) -> Vec<&Disk> {
        let of_node = self.backups.copies.iter().filter(|(of, _)| *of == id).map(|(_, copy)| copy);
        of_node.filter(|copy| self.would_come_back(id, copy)).collect()
    }

    /// Whether something is missing in a copy, and all that is can be had again from others.
    fn would_come_back(&self, id: NodeId, copy: &Disk) -> bool {
        let Some(disk) = self.nodes.get(id).map(|node| &node.disk) else { return false };
        // Who still asks may have been told by somebody of whom an older copy does not know.
        let is_busy = !disk.restored.is_empty() || !disk.lpdus.keys().eq(copy.lpdus.keys());
        if is_busy || self.will_ask_again(id, disk, copy) || self.does_device_wait(id) {
            return false;
        }
        let mut is_older = false;
        let whole = disk.rooms.iter().all(|(room_id, log)| {
            let Some(older) = copy.rooms.get(room_id) else { return false };
            let is_same = older.events.len() == log.events.len() && older.timeline == log.timeline;
            is_older |= !is_same;
            is_same || (self.is_hub(id, room_id) && self.others_have(id, room_id, older, log))
        });
        whole && is_older
    }

    fn is_hub(&self, id: NodeId, room_id: &RoomId) -> bool {
        let mut rooms = self.rooms.iter().zip(&self.plan.rooms);
        rooms.any(|(room, plan)| room == room_id && plan.hub == id)
    }

    /// Whether a client will ask once more for what the copy does not know it has had: it would get it twice.
    fn will_ask_again(&self, id: NodeId, disk: &Disk, copy: &Disk) -> bool {
        self.events.values().any(|event| match event {
            Event::Ask(node, _, request) if *node == id => {
                disk.client_txns.get(&request.txn) != copy.client_txns.get(&request.txn)
            }
            _ => false,
        })
    }

    /// Whether a device will ask once more for what the copy does not know it has done.
    fn does_device_wait(&self, id: NodeId) -> bool {
        self.devices.iter().flatten().any(|device| device.node == id && device.waits())
    }

    /// Whether those who are in a room, and those who turn out to be in it, have all that an older log of it lacks.
    fn others_have(&self, id: NodeId, room_id: &RoomId, older: &RoomLog, log: &RoomLog) -> bool {
        let Some((last, mut head)) = older.timeline.last_key_value() else { return false };
        let lost: Vec<&EventId> = log.timeline.range(last + 1..).map(|(_, id)| id).collect();
        let mut lost = &lost[..];
        let mut joined: BTreeSet<&str> = older.joined().collect();
        while !lost.is_empty() {
            let before = lost.len();
            for other in self.nodes.iter().filter(|node| node.id != id) {
                let is_in_room =
                    |user: &&str| user.split_once(':').is_some_and(|(_, server)| server == other.me.name.as_str());
                if !joined.iter().any(is_in_room) {
                    continue;
                }
                let theirs = other.disk.following(room_id, head, lost.len()).unwrap_or_default();
                let count = lost.iter().zip(&theirs).take_while(|(lost, has)| **lost == has.event_id()).count();
                let (back, rest) = lost.split_at(count);
                for event in back.iter().filter_map(|id| log.event(id)) {
                    let Some((user, membership)) = event.state_key().zip(event.membership()) else { continue };
                    match membership {
                        "join" => joined.insert(user),
                        _ => joined.remove(user),
                    };
                }
                head = back.last().unwrap_or(&head);
                lost = rest;
            }
            if lost.len() == before {
                return false;
            }
        }
        true
    }
}
