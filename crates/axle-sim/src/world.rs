//! Virtual time: what happens next, and what the network does with it.

mod encrypted;
mod malice;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, RoomVersion, UserId};

use crate::check::{Checker, Races};
use crate::coverage::Coverage;
use crate::device::{Device, DeviceFact};
use crate::directory::Directory;
use crate::disk::RoomLog;
use crate::node::{ClientRequest, Ctx, Deed, Fact, Node, Out, Timer};
use crate::plan::{ACTIVE_MS, AFTERWORD_MS, END_MS, EPILOGUE_MS, HEAL_MS, LAST_WORD_MS, LIE_MS, Plan};
use crate::rng::Rng;
use crate::wire::{Body, Envelope, NodeId, Request};

use encrypted::Happening;
use malice::Malice;

pub use crate::check::LieOutcome;
pub(crate) use encrypted::LAST_WORD;

/// Users of each server.
const USERS: u64 = 2;

/// A client asks again at most this long after the first time, in milliseconds.
const LONGEST_RETRY_MS: u64 = 20_000;

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The command line that repeats it.
    pub replay: String,
    /// What did not hold. None: the run is good.
    pub violations: Vec<String>,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
    /// How many events clients were told of.
    pub answered: usize,
    /// How many messages went between servers.
    pub messages: u64,
    /// What became of the lie, if a hub found occasion for one.
    pub lie: Option<LieOutcome>,
    /// What came up.
    pub coverage: Coverage,
    /// In an encrypted room, what devices did and what became of it: the same each time that the seed is run.
    pub course: Vec<String>,
    /// What became of races in an encrypted room.
    pub races: Races,
}

/// Runs a plan to its end.
pub fn run(plan: &Plan, trace: bool) -> Report {
    let mut world = World::new(plan.clone(), trace);
    world.prepare();
    world.run();
    world.report()
}

/// Something that is going to happen.
enum Event {
    Arrive(Envelope),
    Call(NodeId, u64, Timer),
    Create(usize),
    Join(NodeId, usize),
    Act,
    Ask(NodeId, usize, ClientRequest),
    Crash,
    CrashOf(NodeId, u64, &'static str),
    Restart(NodeId),
    Cut,
    Mend,
    Lie,
    Epilogue,
    Afterword,
    Heal,
    Device(Happening),
}

/// The moment that a crash waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// A disk writes.
    Writing,
    /// A transaction is on its way.
    Sending,
}

struct World {
    plan: Plan,
    now: u64,
    next: u64,
    next_call: u64,
    next_request: u64,
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    rng: Rng,
    directory: Directory,
    nodes: Vec<Node>,
    rooms: Vec<RoomId>,
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Crashes that wait for the worst moment.
    armed: Vec<Moment>,
    checker: Checker,
    messages: u64,
    trace: Option<Vec<String>>,
    /// One that is doing something is not there.
    devices: Vec<Option<Device>>,
    malices: BTreeMap<String, Malice>,
    /// Who says falsely that commits cannot be applied: one person in a run.
    slanderer: Option<UserId>,
    course: Vec<String>,
}

impl World {
    fn new(plan: Plan, trace: bool) -> Self {
        let directory = Directory::new(plan.servers, plan.seed);
        let identities = (0..plan.servers).filter_map(|id| Some((id, directory.identity(id)?.clone())));
        let nodes = identities.map(|(id, me)| Node::new(id, me, &plan)).collect();
        let rooms = plan.rooms.iter().enumerate();
        let rooms = rooms.filter_map(|(i, room)| RoomId::parse(format!("!r{i}:s{}.example", room.hub)).ok()).collect();
        Self {
            rng: Rng::new(plan.seed).fork(2),
            plan,
            now: 0,
            next: 0,
            next_call: 0,
            next_request: 0,
            agenda: BinaryHeap::new(),
            events: BTreeMap::new(),
            directory,
            nodes,
            rooms,
            cut: BTreeSet::new(),
            armed: Vec::new(),
            checker: Checker::default(),
            messages: 0,
            trace: trace.then(Vec::new),
            devices: Vec::new(),
            malices: BTreeMap::new(),
            slanderer: None,
            course: Vec::new(),
        }
    }

    /// Puts everything that the seed decides on the agenda.
    fn prepare(&mut self) {
        for room in 0..self.rooms.len() {
            self.at(0, Event::Create(room));
            for node in 0..self.plan.servers {
                let time = self.rng.between(4_000, 12_000);
                self.at(time, Event::Join(node, room));
            }
        }
        for _ in 0..self.plan.actions {
            let time = self.rng.between(8_000, ACTIVE_MS);
            self.at(time, Event::Act);
        }
        for _ in 0..self.plan.crashes {
            let time = self.rng.between(8_000, HEAL_MS - 1);
            self.at(time, Event::Crash);
        }
        for _ in 0..self.plan.partitions {
            let time = self.rng.between(8_000, HEAL_MS - 1);
            self.at(time, Event::Cut);
        }
        if let (Some(lie), Some(room)) = (self.plan.lie, self.plan.rooms.first()) {
            let hub = room.hub;
            self.nodes.get_mut(hub).into_iter().for_each(|node| node.corrupt(lie));
            self.at(LIE_MS, Event::Lie);
        }
        if self.plan.lie.is_some() || self.plan.forgetful > 0 {
            self.at(AFTERWORD_MS, Event::Afterword);
            self.at(LAST_WORD_MS, Event::Afterword);
        }
        self.at(EPILOGUE_MS, Event::Epilogue);
        self.at(HEAL_MS, Event::Heal);
        self.prepare_group();
    }

    fn run(&mut self) {
        while let Some(Reverse((time, number))) = self.agenda.pop() {
            if time > END_MS {
                break;
            }
            self.now = time;
            if let Some(event) = self.events.remove(&number) {
                self.step(event);
            }
        }
    }

    fn report(mut self) -> Report {
        if let Some(trace) = &mut self.trace {
            let logs =
                self.nodes.iter().flat_map(|node| node.disk.rooms.iter().map(move |(id, log)| (node.id, id, log)));
            logs.for_each(|(node, id, log)| trace.extend(log_lines(node, id, log)));
        }
        let hubs = self.rooms.iter().cloned().zip(self.plan.rooms.iter().map(|room| room.hub)).collect();
        self.checker.finish(&self.nodes, &hubs);
        self.note_rooms(&hubs);
        self.finish_group();
        Report {
            seed: self.plan.seed,
            replay: self.plan.replay(),
            answered: self.checker.answered(),
            lie: self.checker.outcome,
            coverage: self.checker.coverage,
            violations: self.checker.violations,
            trace: self.trace.unwrap_or_default(),
            messages: self.messages,
            course: self.course,
            races: self.checker.groups.races(),
        }
    }

    fn note_rooms(&mut self, hubs: &BTreeMap<RoomId, NodeId>) {
        let coverage = &mut self.checker.coverage;
        for room in &self.plan.rooms {
            coverage.note(match room.version {
                RoomVersion::I1 => "a room of version I.1",
                RoomVersion::Unstable02 => "a room of the unstable version",
            });
        }
        if self.plan.rooms.len() > 1 {
            coverage.note("several rooms in a run");
        }
        if hubs.values().collect::<BTreeSet<_>>().len() > 1 {
            coverage.note("several hubs in a run");
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrive(envelope) => self.arrive(envelope),
            Event::Call(node, epoch, timer) => self.with(node, |node, ctx| {
                if node.epoch == epoch {
                    node.handle_timer(ctx, timer);
                }
            }),
            Event::Create(room) => self.create(room),
            Event::Join(node, room) => self.join(node, room),
            Event::Act if self.plan.encrypted.is_some() => self.act_in_group(),
            Event::Act => self.act(),
            Event::Ask(node, room, request) => self.ask(node, room, &request),
            Event::Crash => self.crash(),
            Event::CrashOf(node, epoch, why) => {
                if self.nodes.get(node).is_some_and(|node| node.epoch == epoch) && self.crash_of(node) {
                    self.checker.coverage.note(why);
                }
            }
            Event::Restart(node) => self.restart(node),
            Event::Cut => self.cut_some(),
            Event::Mend => self.cut.clear(),
            Event::Lie => self.lie(),
            Event::Epilogue => self.epilogue(),
            Event::Afterword => self.everybody_speaks(),
            Event::Heal => self.heal(),
            Event::Device(what) => self.happen(what),
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.next += 1;
        self.agenda.push(Reverse((time, self.next)));
        self.events.insert(self.next, event);
    }

    /// Lets a running server do something, and does what it wants.
    fn with(&mut self, id: NodeId, what: impl FnOnce(&mut Node, &mut Ctx<'_>)) {
        let Some(node) = self.nodes.get_mut(id).filter(|node| node.up) else { return };
        let mut ctx = Ctx {
            now: self.now,
            rng: &mut self.rng,
            directory: &self.directory,
            plan: &self.plan,
            next_call: &mut self.next_call,
            out: Vec::new(),
        };
        what(node, &mut ctx);
        let (out, epoch) = (ctx.out, node.epoch);
        self.crash_if_armed(id, epoch, &out);
        let has_grown = out.iter().any(|out| matches!(out, Out::Fact(Fact::Durable(_))));
        for out in out {
            match out {
                Out::Send(envelope) => self.send(envelope),
                Out::Timer(time, timer) => self.at(time, Event::Call(id, epoch, timer)),
                Out::Trace(line) => self.note(|| line),
                Out::Fact(fact) => self.fact(id, fact),
                Out::Told(device, number, told) => self.happens(self.now + 1, Happening::Told(device, number, told)),
                Out::Device(device, fact) => {
                    self.checker.device_fact(device, &fact);
                    if let DeviceFact::Line(line) = fact {
                        self.course(|| format!("d{device} {line}"));
                    }
                }
            }
        }
        if has_grown && self.plan.rooms.first().is_some_and(|room| room.hub == id) {
            self.hub_grew();
        }
    }

    fn fact(&mut self, id: NodeId, fact: Fact) {
        self.note(|| format!("s{id}: {fact:?}"));
        match &fact {
            Fact::ClientAnswered(_, event_id, Some(txn)) => self.answer_device(txn, Ok(event_id.clone())),
            Fact::ClientRefused(txn, reason) => self.answer_device(txn, Err(reason.clone())),
            _ => {}
        }
        if let Some(node) = self.nodes.get(id) {
            self.checker.fact(node, fact);
        }
    }

    fn send(&mut self, envelope: Envelope) {
        self.messages += 1;
        let pair = (envelope.from.min(envelope.to), envelope.from.max(envelope.to));
        if self.cut.contains(&pair) || self.rng.per_mille(self.plan.loss) {
            self.note(|| format!("lost: {}", summary(&envelope)));
            return;
        }
        if self.rng.per_mille(self.plan.duplication) {
            let time = self.now + self.rng.between(1, self.plan.max_delay);
            self.at(time, Event::Arrive(envelope.clone()));
        }
        let time = self.now + self.rng.between(1, self.plan.max_delay);
        self.at(time, Event::Arrive(envelope));
    }

    fn arrive(&mut self, envelope: Envelope) {
        self.note(|| summary(&envelope));
        self.with(envelope.to, |node, ctx| node.handle(ctx, envelope));
    }

    fn create(&mut self, room: usize) {
        let (Some(id), Some(plan)) = (self.rooms.get(room).cloned(), self.plan.rooms.get(room).cloned()) else {
            return;
        };
        self.with(plan.hub, |node, ctx| node.create_room(ctx, &id, &plan));
    }

    fn join(&mut self, node: NodeId, room: usize) {
        let Some(user) = user(node, 0).filter(|_| self.rng.per_mille(850)) else { return };
        let membership = match self.plan.rooms.get(room) {
            Some(plan) if plan.join_rule == "knock" => Membership::Knock,
            _ => Membership::Join,
        };
        self.deed(node, room, &user, &Deed::Member(user.to_string(), membership));
    }

    fn act(&mut self) {
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
    fn banned(&mut self, room: usize) -> Option<String> {
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
    fn deed(&mut self, node: NodeId, room: usize, sender: &UserId, deed: &Deed) {
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

    fn ask(&mut self, node: NodeId, room: usize, request: &ClientRequest) {
        let Some(plan) = self.plan.rooms.get(room).cloned() else { return };
        self.note(|| format!("{} in {}: {:?} ({})", request.sender, request.room_id, request.deed, request.txn));
        self.with(node, |node, ctx| node.act(ctx, &plan, request));
    }

    /// A crash of some server: now, or in the next moment at which it hurts.
    fn crash(&mut self) {
        match self.rng.below(4) {
            0 | 1 => {
                let id = self.rng.below(self.plan.servers as u64) as NodeId;
                self.crash_of(id);
            }
            2 => self.armed.push(Moment::Writing),
            _ => self.armed.push(Moment::Sending),
        }
    }

    fn crash_if_armed(&mut self, id: NodeId, epoch: u64, out: &[Out]) {
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
    fn crash_of(&mut self, id: NodeId) -> bool {
        if self.is_liar(id) || !self.nodes.get(id).is_some_and(|node| node.up) {
            return false;
        }
        self.note(|| format!("s{id} crashes"));
        self.with(id, |node, ctx| node.crash(ctx));
        let back = (self.now + self.rng.between(50, 20_000)).min(HEAL_MS);
        self.at(back, Event::Restart(id));
        true
    }

    fn restart(&mut self, id: NodeId) {
        self.note(|| format!("s{id} restarts"));
        self.nodes.get_mut(id).into_iter().for_each(|node| node.up = true);
        self.with(id, |node, ctx| node.restart(ctx));
    }

    fn cut_some(&mut self) {
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
    fn lie(&mut self) {
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

    /// Somebody at each hub says something; after a lie, everybody does, and who is not in the room joins it.
    fn epilogue(&mut self) {
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

    fn everybody_speaks(&mut self) {
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

    fn heal(&mut self) {
        self.plan.loss = 0;
        self.plan.duplication = 0;
        self.plan.flakiness = 0;
        self.plan.forgetful = 0;
        self.cut.clear();
        self.heal_devices();
        self.note(|| "all is well".into());
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9} {}", self.now, line()));
        }
    }
}

fn user(node: NodeId, number: u64) -> Option<UserId> {
    UserId::parse(format!("@u{number}:s{node}.example")).ok()
}

/// A server's log of a room, as it is in the end.
fn log_lines(node: NodeId, room_id: &RoomId, log: &RoomLog) -> Vec<String> {
    let line = |(position, event): (i64, &axle_protocol::Event)| {
        let parents: Vec<String> = event.prev_events().iter().map(|id| short(id.as_str())).collect();
        let key = event.state_key().map(|key| format!(" {key} {}", event.membership().unwrap_or_default()));
        let (id, kind, key) = (short(event.event_id().as_str()), event.event_type(), key.unwrap_or_default());
        format!("s{node} {room_id} {position:>12} {id} after {parents:?} {} {kind}{key}", event.sender())
    };
    log.ordered().map(line).collect()
}

fn short(id: &str) -> String {
    id.chars().take(7).collect()
}

fn summary(envelope: &Envelope) -> String {
    let Envelope { from, to, call, body } = envelope;
    let mut text = match body {
        Body::Request(request) => format!("{request:?}"),
        Body::Response(response) => format!("{response:?}"),
    };
    if let Some((end, _)) = text.char_indices().nth(220) {
        text.truncate(end);
    }
    format!("s{from} -> s{to} #{call} {text}")
}
