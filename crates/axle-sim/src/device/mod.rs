//! Devices: clients that do what a client does in an encrypted room, as `axle-sdk` does it.
//!
//! A device does one thing at a time. What it asks is answered, or not, when the world has time for it; the rest it sees
//! in its own server's log.

mod commits;
mod follow;
mod intent;
mod joining;
mod tending;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use axle_mls::event::{EncryptedContent, WelcomeContent};
use axle_mls::member::MemoryStore;
use axle_mls::{CheckedKeyPackage, Credential, DeviceKey, Layering, Member};
use axle_protocol::auth::Membership;
use axle_protocol::{EventId, RoomId, UserId};
use serde_json::{Map, Value};

use crate::node::{Asker, ClientRequest, Ctx, Deed, Node, Out};
use crate::plan::{Plan, RoomPlan};
use crate::rng::Rng;
use crate::wire::{GroupAsk, GroupTold, NodeId};

pub use commits::Pending;
pub use intent::Intent;

/// How long a device waits for an answer before it asks again.
const PATIENCE_MS: u64 = 20_000;
/// The first pause after a refusal, and the longest.
const PAUSE_MS: u64 = 200;
const LONGEST_PAUSE_MS: u64 = 10_000;
/// KeyPackages that a device leaves with its server; it makes them up when there are fewer than half.
const PACKAGES: usize = 4;
/// How long until something is published again that has not become durable.
const PUBLISH_AGAIN_MS: u64 = 5_000;

/// A device of a user.
pub struct Device {
    /// Its number; its device id is `D` and this.
    pub index: usize,
    /// Its server.
    pub node: NodeId,
    /// Whose it is.
    pub user: UserId,
    /// Its groups.
    pub member: Member,
    /// Where it keeps them.
    pub store: MemoryStore,
    /// Every Welcome that has come for it.
    pub welcomes: Vec<WelcomeContent>,
    /// With a defect: what the store was before.
    pub images: Vec<MemoryStore>,
    /// Whether it has not been logged out.
    pub is_alive: bool,
    /// Whether it runs and is connected.
    pub is_online: bool,
    /// Whether it has committed what nobody can apply: it does nothing more then.
    pub is_culprit: bool,
    /// Some commits that it is to take part in.
    pub intent: Option<Intent>,
    /// What its user wants.
    pub wants: VecDeque<Want>,
    room_id: RoomId,
    layering: Layering,
    seed: u64,
    key: DeviceKey,
    keys_made: u64,
    /// How far it has read its server's log.
    cursor: i64,
    joined_epoch: u64,
    read: BTreeSet<EventId>,
    sent: BTreeSet<Vec<u8>>,
    inbox: Vec<WelcomeContent>,
    asked: Option<Asked>,
    next: u64,
    pending: Option<Pending>,
    track: Track,
    /// KeyPackages that were claimed for the next commit.
    packages: Vec<CheckedKeyPackage>,
    /// Devices that have no KeyPackage left, and until when that is believed.
    without_package: BTreeMap<usize, u64>,
    publish_again: u64,
    upload_again: u64,
    upload_anew: bool,
}

/// How a device keeps up with its group.
#[derive(Debug, Default)]
struct Track {
    /// Commits are missing, or one could not be applied.
    behind: bool,
    /// It has to join again by itself.
    lost: bool,
    /// How often the hub was asked about what is missing.
    looks: u32,
    /// Since when it should be in the group and is not.
    outside_since: Option<u64>,
    /// When it does what others have not done.
    turn_at: Option<u64>,
    /// When it looks again at what the group lacks.
    look_at: u64,
    /// Nothing is done before.
    rest_until: u64,
    /// Refusals in a row.
    refusals: u32,
    /// Commits to be reported: the epoch that they lead to, and the message.
    reports: Vec<(u64, Vec<u8>)>,
    reported: BTreeSet<EventId>,
}

/// Something that a user wants.
#[derive(Debug, Clone)]
pub enum Want {
    /// Says something; how often that was tried.
    Say(String, u32),
    /// Puts somebody out.
    PutOut(PutOut),
    /// Leaves; how often that was tried.
    Leave(u32),
}

/// Whom somebody puts out.
#[derive(Debug, Clone)]
pub struct PutOut {
    /// The user.
    pub user: UserId,
    /// Leave or ban.
    pub membership: Membership,
    /// How often that was tried.
    pub tries: u32,
}

/// What a device waits for.
#[derive(Debug)]
struct Asked {
    number: u64,
    at: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    State(Purpose),
    Claim(Vec<usize>),
    Commit,
    Pair,
    Leave(u32),
    Propose(Vec<u8>),
    ProposeAdd(UserId),
    Report(u64, Vec<u8>),
    Say { content: EncryptedContent, text: String, tries: u32 },
}

/// What a device wants to know the group's state for.
#[derive(Debug)]
enum Purpose {
    Welcome(WelcomeContent),
    Join,
    Look,
    Settle,
    Commit,
    Propose,
    ProposeAdd,
    PutOut(PutOut),
}

/// What a device has done, for the checks.
#[derive(Debug, Clone)]
pub enum DeviceFact {
    /// It is in the group as it is after this commit.
    Arrived {
        /// The commit.
        commit: EventId,
        /// The epoch.
        epoch: u64,
        /// Its authenticator.
        authenticator: Vec<u8>,
    },
    /// It has encrypted this.
    Said(Vec<u8>, String),
    /// It has decrypted this event, of this device.
    Read(EventId, Vec<u8>, Credential),
    /// The group did not take what it made, for this reason.
    Refused(String),
    /// A member event with what it was paired with was refused; it is marked with this.
    PairRefused(String),
    /// It has made a commit for a race.
    RaceCommit(usize),
    /// A commit for a race was too late.
    RaceLost(usize),
    /// What it wanted in a race has happened.
    RaceDone(usize),
    /// It could not do what a client has to be able to do.
    Failed(String),
    /// Something for whoever reads what happened. Without ids and keys, which are others each time.
    Line(String),
    /// Something happened that runs are meant to bring about.
    Covered(&'static str),
}

impl Device {
    /// A new device.
    pub fn new(index: usize, node: NodeId, user: UserId, room_id: &RoomId, plan: &Plan) -> Option<Self> {
        let key = device_key(plan.seed, index, 0, &user)?;
        let store = MemoryStore::default();
        Some(Self {
            index,
            node,
            user,
            member: Member::open(key.clone(), store.clone()),
            store,
            welcomes: Vec::new(),
            images: Vec::new(),
            is_alive: true,
            is_online: true,
            is_culprit: false,
            intent: None,
            wants: VecDeque::new(),
            room_id: room_id.clone(),
            layering: plan.encrypted.as_ref()?.layering,
            seed: plan.seed,
            key,
            keys_made: 0,
            cursor: i64::MIN,
            joined_epoch: 0,
            read: BTreeSet::new(),
            sent: BTreeSet::new(),
            inbox: Vec::new(),
            asked: None,
            next: 0,
            pending: None,
            track: Track::default(),
            packages: Vec::new(),
            without_package: BTreeMap::new(),
            publish_again: 0,
            upload_again: 0,
            upload_anew: true,
        })
    }

    /// Whose device it is, with its key.
    pub fn credential(&self) -> &Credential {
        self.key.credential()
    }

    /// How many keys it has had.
    pub fn keys(&self) -> u64 {
        self.keys_made + 1
    }

    /// Its key.
    pub fn key(&self) -> &DeviceKey {
        &self.key
    }

    /// Loses everything but its name, and perhaps its key.
    pub fn lose_state(&mut self, plan: &Plan, is_key_lost: bool) {
        let Some(new) = Self::new(self.index, self.node, self.user.clone(), &self.room_id, plan) else { return };
        let (keys_made, cursor, next) = (self.keys_made + u64::from(is_key_lost), self.cursor, self.next);
        let Some(key) = device_key(self.seed, self.index, keys_made, &self.user) else { return };
        // What it has sent, it knows again.
        let (read, sent) = (std::mem::take(&mut self.read), std::mem::take(&mut self.sent));
        *self = Self { keys_made, cursor, next, read, sent, ..new };
        self.member = Member::open(key.clone(), self.store.clone());
        self.key = key;
    }

    /// Whether it runs, and does what a client does.
    pub fn is_active(&self) -> bool {
        self.is_alive && self.is_online && !self.is_culprit
    }

    /// Whether something of it is on its way.
    pub fn waits(&self) -> bool {
        self.asked.is_some() || self.pending.is_some()
    }

    /// Whether it is in the group, as far as it knows, with nothing on its way.
    pub fn is_ready(&mut self) -> bool {
        self.is_active() && self.asked.is_none() && self.is_in()
    }

    /// Whether it is in the group, with a commit that the hub has.
    pub fn is_in(&mut self) -> bool {
        !self.pending.as_ref().is_some_and(|pending| pending.joins) && self.member.is_in(&self.room_id)
    }

    /// Where it is: the newest commit that it knows.
    pub fn commit(&mut self) -> Option<EventId> {
        self.member.last_commit(&self.room_id).ok().flatten()
    }

    /// Does what is to be done next.
    pub fn step(&mut self, node: &mut Node, ctx: &mut Ctx<'_>) {
        if !self.is_alive {
            // Also under a key that it had before: the new one may never have been published.
            if node.publishes(self.key.credential()) && ctx.now >= self.publish_again {
                self.publish_again = ctx.now + PUBLISH_AGAIN_MS;
                node.publish(ctx, self.key.credential(), false);
            }
            return;
        }
        if !self.is_active() {
            return;
        }
        self.sync(node, ctx);
        if !self.has_patience_ended(node, ctx) {
            return;
        }
        self.publish(node, ctx);
        if !self.is_joined(node) {
            return self.forget();
        }
        if ctx.now < self.track.rest_until {
            return;
        }
        if self.pending.is_some() {
            self.settle(node, ctx);
        } else if !self.is_in() {
            self.step_in(node, ctx);
        } else if self.track.behind || self.track.lost || !self.track.reports.is_empty() {
            self.recover(node, ctx);
        } else {
            self.tend(node, ctx);
        }
    }

    /// Its server answers.
    pub fn told(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, number: u64, told: GroupTold) {
        if !self.is_alive || self.is_culprit {
            return;
        }
        let Some(asked) = self.asked.take_if(|asked| asked.number == number) else { return };
        match asked.what {
            What::State(purpose) => self.state_told(node, ctx, purpose, told),
            What::Claim(devices) => self.claimed(node, ctx, &devices, told),
            What::Pair => self.pair_told(node, ctx, told),
            What::Leave(tries) => self.leave_told(node, ctx, tries, &told),
            What::Propose(message) => self.proposed(ctx, message, &told),
            What::ProposeAdd(user) => self.add_proposed(ctx, user, &told),
            What::Report(epoch, message) => {
                if matches!(told, GroupTold::Unanswered) {
                    self.track.reports.push((epoch, message));
                }
                if let GroupTold::RolledBack(epoch) = told {
                    self.line(ctx, format!("its report leads back to epoch {epoch}"));
                    self.fact(ctx, DeviceFact::Covered("a group goes back"));
                }
                self.track.behind = true;
            }
            // Answered by its transaction.
            What::Commit | What::Say { .. } => self.asked = Some(asked),
        }
    }

    /// Its server answers what it has sent under a transaction.
    pub fn outcome(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, txn: &str, outcome: Result<EventId, String>) {
        let is_mine = self.asked.as_ref().is_some_and(|asked| self.txn(asked.number) == txn);
        if !is_mine || !self.is_alive {
            return;
        }
        let Some(asked) = self.asked.take() else { return };
        match asked.what {
            What::Commit => self.commit_told(node, ctx, outcome),
            What::Say { text, tries, .. } => self.said(ctx, text, tries, outcome),
            what => self.asked = Some(Asked { what, ..asked }),
        }
    }

    /// Whether it may do something else. A message is asked for again under its transaction; what became of a commit is
    /// found out.
    fn has_patience_ended(&mut self, node: &mut Node, ctx: &mut Ctx<'_>) -> bool {
        let Some(asked) = &mut self.asked else { return true };
        if ctx.now < asked.at + PATIENCE_MS {
            return false;
        }
        asked.at = ctx.now;
        let number = asked.number;
        match &asked.what {
            What::Say { content, .. } => {
                let content = content.to_content();
                self.send(node, ctx, EncryptedContent::EVENT_TYPE, content, number);
                false
            }
            What::State(Purpose::Welcome(welcome)) => {
                self.inbox.push(welcome.clone());
                self.asked = None;
                true
            }
            What::Report(epoch, message) => {
                self.track.reports.push((*epoch, message.clone()));
                self.asked = None;
                true
            }
            _ => {
                self.asked = None;
                true
            }
        }
    }

    /// Its user is not in the room: its keys are of no use any more.
    fn forget(&mut self) {
        if self.pending.take().is_some() || self.member.is_in(&self.room_id) {
            self.member.forget(&self.room_id).ok();
        }
        self.track = Track { reported: std::mem::take(&mut self.track.reported), ..Track::default() };
        self.wants.clear();
        self.intent = None;
        self.packages.clear();
    }

    fn publish(&mut self, node: &mut Node, ctx: &mut Ctx<'_>) {
        if !node.is_published(&self.user, self.key.credential()) && ctx.now >= self.publish_again {
            self.publish_again = ctx.now + PUBLISH_AGAIN_MS;
            node.publish(ctx, self.key.credential(), true);
        }
        let is_enough = node.disk.devices.packages_left(self.index) >= PACKAGES / 2;
        if (!is_enough || self.upload_anew) && ctx.now >= self.upload_again {
            self.upload_again = ctx.now + PUBLISH_AGAIN_MS;
            let anew = std::mem::take(&mut self.upload_anew);
            let once = (0..PACKAGES).filter_map(|_| self.member.key_package(false).ok()).collect();
            let last_resort = if anew { self.member.key_package(true).ok() } else { None };
            node.upload(ctx, self.index, once, last_resort, anew);
        }
    }

    fn is_joined(&self, node: &Node) -> bool {
        node.disk.rooms.get(&self.room_id).is_some_and(|log| log.is_joined(self.user.as_str()))
    }

    fn ask(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, ask: &GroupAsk, what: What) {
        let number = self.ask_for(ctx, what);
        node.ask_group(ctx, Asker::Device(self.index, number), &self.room_id, &self.user, ask);
    }

    fn ask_state(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, purpose: Purpose) {
        let after = match &purpose {
            Purpose::Welcome(welcome) => Some(welcome.commit_event_id.clone()),
            _ => None,
        };
        self.ask(node, ctx, &GroupAsk::State { after }, What::State(purpose));
    }

    /// Notes that an answer is waited for.
    fn ask_for(&mut self, ctx: &Ctx<'_>, what: What) -> u64 {
        self.next += 1;
        self.asked = Some(Asked { number: self.next, at: ctx.now, what });
        self.next
    }

    fn txn(&self, number: u64) -> String {
        format!("d{}-{number}", self.index)
    }

    fn send(&self, node: &mut Node, ctx: &mut Ctx<'_>, kind: &'static str, content: Map<String, Value>, number: u64) {
        self.act(node, ctx, Deed::Send(kind, content), self.txn(number));
    }

    fn act(&self, node: &mut Node, ctx: &mut Ctx<'_>, deed: Deed, txn: String) {
        let Some(plan) = ctx.plan.rooms.first() else { return };
        let plan: RoomPlan = plan.clone();
        let request = ClientRequest { room_id: self.room_id.clone(), sender: self.user.clone(), deed, txn };
        node.act(ctx, &plan, &request);
    }

    /// Does nothing for a while that grows with each refusal.
    fn rest(&mut self, ctx: &mut Ctx<'_>) {
        let longest = (PAUSE_MS << self.track.refusals.min(10)).min(LONGEST_PAUSE_MS);
        self.track.refusals += 1;
        self.track.rest_until = ctx.now + longest / 2 + ctx.rng.below(longest / 2 + 1);
    }

    fn fact(&self, ctx: &mut Ctx<'_>, fact: DeviceFact) {
        ctx.out.push(Out::Device(self.index, fact));
    }

    fn line(&self, ctx: &mut Ctx<'_>, line: String) {
        self.fact(ctx, DeviceFact::Line(line));
    }
}

/// The number of a device by its id.
pub fn index_of(device: &Credential) -> Option<usize> {
    device.device_id.strip_prefix('D')?.parse().ok()
}

fn device_key(seed: u64, index: usize, keys_made: u64, user: &UserId) -> Option<DeviceKey> {
    let mut rng = Rng::new(seed ^ ((index as u64) << 32) ^ keys_made).fork(11);
    let mut bytes = [0; 32];
    bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.next().to_le_bytes()));
    DeviceKey::from_seed(user.clone(), &format!("D{index}"), &bytes).ok()
}
