//! What goes on in an encrypted room: devices, what their users want, and what happens to them.

use axle_protocol::auth::Membership;
use axle_protocol::{EventId, UserId};

use super::clients::{USERS, user};
use super::{Event, World};
use crate::device::{Device, Intent, PutOut, Want};
use crate::node::{Ctx, Deed, Node};
use crate::plan::{ACTIVE_MS, AFTERWORD_MS, HEAL_MS};
use crate::wire::{GroupTold, NodeId};

/// Devices in a run at most.
const MOST_DEVICES: usize = 20;
/// Between two looks of a device at its server, in milliseconds, while much happens and later.
const TICK_MS: (u64, u64) = (200, 1_200);
const LATE_TICK_MS: (u64, u64) = (1_500, 4_000);
/// From when on devices look less often.
const LATE_MS: u64 = HEAL_MS + 5 * 60_000;
/// What the last messages begin with: everybody has to read them.
pub(crate) const LAST_WORD: &str = "last word";

/// Something that concerns devices.
pub(super) enum Happening {
    Tick(usize, bool),
    Told(usize, u64, GroupTold),
    Outcome(usize, String, Result<EventId, String>),
    Admit(NodeId, u64),
    Online(usize),
    Race(usize),
    Malice,
    /// Who has got no answer to a join, joins again.
    JoinAgain,
    LastWord,
}

impl World {
    /// Puts on the agenda what the seed decides about devices.
    pub(super) fn prepare_group(&mut self) {
        let (Some(plan), Some(hub)) = (self.plan.encrypted.clone(), self.plan.rooms.first().map(|room| room.hub))
        else {
            return;
        };
        // The first device is one of who makes the room.
        let nodes = std::iter::once(hub).chain((0..self.plan.servers).filter(move |node| *node != hub));
        for (node, number) in nodes.flat_map(|node| (0..USERS).map(move |number| (node, number))) {
            for _ in 0..self.rng.between(1, plan.devices) {
                self.new_device(node, number);
            }
            let time = self.rng.between(4_000, 20_000);
            self.happens(time, Happening::Admit(node, number));
        }
        for race in 0..plan.races as usize {
            let time = self.rng.between(20_000, ACTIVE_MS);
            self.happens(time, Happening::Race(race));
        }
        for _ in 0..plan.malice {
            let time = self.rng.between(20_000, ACTIVE_MS);
            self.happens(time, Happening::Malice);
        }
        for minute in 0..5 {
            self.happens(HEAL_MS + minute * 60_000 + 1_000, Happening::JoinAgain);
        }
        self.happens(AFTERWORD_MS, Happening::LastWord);
    }

    pub(super) fn happens(&mut self, time: u64, what: Happening) {
        self.at(time, Event::Device(what));
    }

    pub(super) fn happen(&mut self, what: Happening) {
        match what {
            Happening::Tick(device, again) => self.tick(device, again),
            Happening::Told(device, number, told) => {
                self.with_device(device, |device, node, ctx| device.told(node, ctx, number, told));
            }
            Happening::Outcome(device, txn, outcome) => {
                self.with_device(device, |device, node, ctx| device.outcome(node, ctx, &txn, outcome));
            }
            Happening::Admit(node, number) => {
                user(node, number).into_iter().for_each(|user| self.member(&user, user.as_str(), Membership::Join));
            }
            Happening::Online(device) => self.device_mut(device).into_iter().for_each(|it| it.is_online = true),
            Happening::Race(race) => self.race(race),
            Happening::Malice => self.malice(),
            Happening::JoinAgain => self.join_again(),
            Happening::LastWord => self.last_words(),
        }
    }

    /// Lets a device do something with its server, if that runs.
    pub(super) fn with_device(&mut self, index: usize, what: impl FnOnce(&mut Device, &mut Node, &mut Ctx<'_>)) {
        let Some(mut device) = self.devices.get_mut(index).and_then(Option::take) else { return };
        self.with(device.node, |node, ctx| what(&mut device, node, ctx));
        if let Some(slot) = self.devices.get_mut(index) {
            *slot = Some(device);
        }
    }

    /// The device whose request this is, and what became of it.
    pub(super) fn answer_device(&mut self, txn: &str, outcome: Result<EventId, String>) {
        if let Some(kind) = self.malices.get(txn).copied() {
            return self.malice_answered(kind, outcome);
        }
        let index = txn.strip_prefix('d').and_then(|rest| rest.split_once('-')?.0.parse().ok());
        if let Some(index) = index {
            self.happens(self.now + 1, Happening::Outcome(index, txn.to_owned(), outcome));
        }
    }

    pub(super) fn act_in_group(&mut self) {
        match self.rng.below(100) {
            0..=44 => self.somebody_speaks(),
            45..=54 => {
                let (node, number) = (self.rng.below(self.plan.servers as u64), self.rng.below(USERS));
                self.happen(Happening::Admit(node as NodeId, number));
            }
            55..=59 => self.somebody_leaves(),
            60..=66 => self.somebody_is_put_out(Membership::Leave),
            67..=68 => self.somebody_is_put_out(Membership::Ban),
            69..=71 => {
                let banned = self.banned(0);
                banned.into_iter().for_each(|user| self.creator_does(Deed::Member(user, Membership::Leave)));
            }
            72..=79 => self.some_device_is_away(),
            80..=84 => {
                let (node, number) = (self.rng.below(self.plan.servers as u64), self.rng.below(USERS));
                self.new_device(node as NodeId, number);
            }
            85..=87 => self.some_device_logs_out(),
            88..=92 => self.some_device_loses_its_state(),
            93..=95 => {
                let level = 50 * self.rng.below(3) as i64;
                let other = self.somebody().map(|user| user.to_string());
                other.into_iter().for_each(|user| self.creator_does(Deed::Level(user, level)));
            }
            _ => self.creator_does(Deed::Topic(format!("at {}", self.now))),
        }
    }

    pub(super) fn heal_devices(&mut self) {
        for device in self.devices.iter_mut().flatten() {
            device.is_online = true;
            // Whoever finds out logs it out.
            device.is_alive &= !device.is_culprit;
        }
    }

    pub(super) fn device_mut(&mut self, index: usize) -> Option<&mut Device> {
        self.devices.get_mut(index)?.as_mut()
    }

    fn new_device(&mut self, node: NodeId, number: u64) {
        let index = self.devices.len();
        let (Some(user), Some(room)) = (user(node, number), self.rooms.first()) else { return };
        let device = Device::new(index, node, user.clone(), room, &self.plan).filter(|_| index < MOST_DEVICES);
        if let Some(device) = device {
            self.course(|| format!("d{index} of {user} appears"));
            self.devices.push(Some(device));
            let time = self.now + self.rng.between(1, TICK_MS.1);
            self.happens(time, Happening::Tick(index, true));
        }
    }

    fn tick(&mut self, index: usize, again: bool) {
        self.with_device(index, |device, node, ctx| device.step(node, ctx));
        if again {
            let (least, most) = if self.now < LATE_MS { TICK_MS } else { LATE_TICK_MS };
            let time = self.now + self.rng.between(least, most);
            self.happens(time, Happening::Tick(index, true));
        }
    }

    /// Devices that are in the group, with nothing on their way.
    pub(super) fn ready(&mut self) -> Vec<usize> {
        let devices = self.devices.iter_mut().flatten();
        devices.filter_map(|device| device.is_ready().then_some(device.index)).collect()
    }

    fn somebody(&mut self) -> Option<UserId> {
        let node = self.rng.below(self.plan.servers as u64) as NodeId;
        user(node, self.rng.below(USERS))
    }

    /// Who made the room and stays in it.
    pub(super) fn creator(&self) -> Option<UserId> {
        user(self.plan.rooms.first()?.hub, 0)
    }

    fn creator_does(&mut self, deed: Deed) {
        if let (Some(creator), Some(hub)) = (self.creator(), self.plan.rooms.first().map(|room| room.hub)) {
            self.deed(hub, 0, &creator, &deed);
        }
    }

    /// A member event by itself.
    pub(super) fn member(&mut self, sender: &UserId, target: &str, membership: Membership) {
        if let Some(node) = self.directory.node(sender.server_str()) {
            self.course(|| format!("{sender}: {target} {}", membership.as_str()));
            self.deed(node, 0, sender, &Deed::Member(target.to_owned(), membership));
        }
    }

    /// The hub has taken their joins, but their own servers do not know: the answers were lost.
    fn join_again(&mut self) {
        let (Some(room), Some(hub)) = (self.rooms.first(), self.plan.rooms.first().map(|room| room.hub)) else {
            return;
        };
        let log = self.nodes.get(hub).and_then(|node| node.disk.rooms.get(room));
        let joined = log.into_iter().flat_map(|log| log.joined()).filter_map(|user| UserId::parse(user).ok());
        let is_known = |user: &UserId| {
            let node = self.directory.node(user.server_str()).and_then(|node| self.nodes.get(node));
            let log = node.and_then(|node| node.disk.rooms.get(room));
            log.is_some_and(|log| log.is_joined(user.as_str()))
        };
        let unknown: Vec<UserId> = joined.filter(|user| !is_known(user)).collect();
        unknown.iter().for_each(|user| self.member(user, user.as_str(), Membership::Join));
    }

    fn somebody_speaks(&mut self) {
        let ready = self.ready();
        let Some(index) = self.rng.pick(&ready).copied() else { return };
        let now = self.now;
        if let Some(device) = self.device_mut(index) {
            device.wants.push_back(Want::Say(format!("d{index} at {now}"), 0));
        }
    }

    fn somebody_leaves(&mut self) {
        let (creator, ready) = (self.creator(), self.ready());
        let Some(user) = self.somebody().filter(|user| Some(user) != creator.as_ref()) else { return };
        let device = ready.into_iter().find(|it| self.device_mut(*it).is_some_and(|device| device.user == user));
        match device.and_then(|device| self.device_mut(device)) {
            Some(device) => device.wants.push_back(Want::Leave(0)),
            None => self.member(&user, user.as_str(), Membership::Leave),
        }
    }

    /// By a device of who may, with its commit; or as clients do it that do not care for the group.
    fn somebody_is_put_out(&mut self, membership: Membership) {
        let (creator, ready) = (self.creator(), self.ready());
        let Some(creator) = creator else { return };
        let Some(user) = self.somebody().filter(|user| *user != creator) else { return };
        let by = ready.into_iter().find(|it| self.device_mut(*it).is_some_and(|device| device.user == creator));
        let with_commit = self.rng.per_mille(700);
        match by.filter(|_| with_commit).and_then(|by| self.device_mut(by)) {
            Some(by) => by.wants.push_back(Want::PutOut(PutOut { user, membership, tries: 0 })),
            None => self.put_out(&creator, &user, membership),
        }
    }

    /// By itself. Whoever is put out says something more, as long as they can.
    fn put_out(&mut self, by: &UserId, user: &UserId, membership: Membership) {
        self.member(by, user.as_str(), membership);
        let now = self.now;
        let theirs = self.devices.iter_mut().flatten().filter(|device| device.user == *user && device.is_active());
        let theirs: Vec<usize> = theirs
            .map(|device| {
                device.wants.push_front(Want::Say(format!("d{} all the same, at {now}", device.index), 0));
                device.index
            })
            .collect();
        theirs.into_iter().for_each(|index| self.happens(now, Happening::Tick(index, false)));
    }

    fn some_device_is_away(&mut self) {
        let index = self.rng.below(self.devices.len() as u64) as usize;
        let back = (self.now + self.rng.between(2_000, 40_000)).min(HEAL_MS);
        self.course(|| format!("d{index} is away"));
        self.device_mut(index).into_iter().for_each(|device| device.is_online = false);
        self.happens(back, Happening::Online(index));
    }

    fn some_device_logs_out(&mut self) {
        let index = self.rng.below(self.devices.len() as u64) as usize;
        if index == 0 {
            return;
        }
        self.course(|| format!("d{index} logs out"));
        let Some(device) = self.devices.get_mut(index).and_then(Option::as_mut) else { return };
        device.is_alive = false;
        self.checker.groups.steal(device);
        self.checker.coverage.note("a device logs out");
    }

    fn some_device_loses_its_state(&mut self) {
        let index = self.rng.below(self.devices.len() as u64) as usize;
        let is_key_lost = self.rng.per_mille(400);
        let plan = self.plan.clone();
        let Some(device) = self.device_mut(index).filter(|device| device.is_alive && !device.is_culprit) else {
            return;
        };
        device.lose_state(&plan, is_key_lost);
        self.course(|| format!("d{index} loses its state, its key as well: {is_key_lost}"));
        let what = if is_key_lost { "a device gets another key" } else { "a device loses its state" };
        self.checker.coverage.note(what);
    }

    /// Several devices commit at once; perhaps one of them is put out at the same time.
    fn race(&mut self, race: usize) {
        let inside = self.devices.iter_mut().flatten().filter(|device| device.intent.is_none());
        let inside = inside.filter_map(|device| (device.is_active() && device.is_in()).then_some(device.index));
        let (mut ready, creator): (Vec<usize>, _) = (inside.collect(), self.creator());
        let most = self.plan.encrypted.as_ref().map_or(0, |group| group.racers) as usize;
        while ready.len() > most {
            let out = self.rng.below(ready.len() as u64) as usize;
            ready.swap_remove(out);
        }
        self.course(|| format!("race {race} of {ready:?}"));
        self.checker.groups.race_begins(race, ready.len());
        for index in &ready {
            self.device_mut(*index).into_iter().for_each(|device| device.intent = Some(Intent::new(race)));
            let time = self.now + self.rng.between(1, 50);
            self.happens(time, Happening::Tick(*index, false));
        }
        if ready.len() > 1 {
            self.checker.coverage.note("several devices commit at once");
        }
        let racer = self.rng.pick(&ready).copied().and_then(|index| Some(self.device_mut(index)?.user.clone()));
        if let (Some(creator), Some(user)) = (creator, racer)
            && user != creator
            && self.rng.per_mille(250)
        {
            self.checker.coverage.note("somebody is put out while committing");
            self.put_out(&creator, &user, Membership::Leave);
        }
    }

    /// By now the group must have come together; and what is said now, everybody has to read.
    fn last_words(&mut self) {
        self.check_group("when all was well for a while");
        for index in self.ready() {
            if let Some(device) = self.device_mut(index) {
                device.wants.push_back(Want::Say(format!("{LAST_WORD} of d{index}"), 0));
            }
        }
    }

    /// Checks that hub and devices agree.
    pub(super) fn check_group(&mut self, when: &str) {
        let (Some(room), Some(hub)) = (self.rooms.first().cloned(), self.plan.rooms.first().map(|room| room.hub))
        else {
            return;
        };
        let Some(hub) = self.nodes.get(hub) else { return };
        let mut devices: Vec<&mut Device> = self.devices.iter_mut().flatten().collect();
        let wrong = crate::check::is_together(hub, &room, &mut devices);
        self.checker.violations.extend(wrong.into_iter().map(|reason| format!("{when}: {reason}")));
    }

    /// Checks the group when all is over.
    pub(super) fn finish_group(&mut self) {
        let (Some(room), Some(hub)) = (self.rooms.first().cloned(), self.plan.rooms.first().map(|room| room.hub))
        else {
            return;
        };
        if self.plan.encrypted.is_none() {
            return;
        }
        self.check_group("in the end");
        let Some(hub) = self.nodes.get(hub) else { return };
        let mut devices: Vec<&mut Device> = self.devices.iter_mut().flatten().collect();
        let wrong = self.checker.groups.finish(hub, &room, &mut devices);
        self.checker.violations.extend(wrong);
    }

    /// The hub's log has grown, durably.
    pub(super) fn hub_grew(&mut self) {
        let (Some(room), Some(hub)) = (self.rooms.first(), self.plan.rooms.first().map(|room| room.hub)) else {
            return;
        };
        let Some(hub) = self.nodes.get(hub).filter(|_| self.plan.encrypted.is_some()) else { return };
        let devices: Vec<&Device> = self.devices.iter().flatten().collect();
        let wrong = self.checker.groups.follow(hub, room, &devices);
        self.checker.violations.extend(wrong);
    }

    /// For whoever compares two runs: what happened, without what is another each time.
    pub(super) fn course(&mut self, line: impl FnOnce() -> String) {
        let line = line();
        self.note(|| line.clone());
        self.course.push(format!("{:>9} {line}", self.now));
    }
}
