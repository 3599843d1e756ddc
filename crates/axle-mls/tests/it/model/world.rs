//! The room, its hub with what is durable of it, and its devices with what each knows.

use std::collections::{BTreeMap, BTreeSet};

use axle_mls::event::{CommitContent, EncryptedContent, WelcomeContent};
use axle_mls::hub::{OWN_FAULTS, Refusal, RoomView};
use axle_mls::limits::KEPT_EPOCHS;
use axle_mls::member::{MemberError, MemoryStore, PendingCommit};
use axle_mls::{Credential, HubGroup, Layering};

use super::rng::Rng;
use crate::common::sim::Sim;
use crate::common::{ALICE, BOB, CAROL};

pub(super) const DAVE: &str = "@dave:a.test";
/// Alice founds the room and stays; her first device never loses its state.
pub(super) const USERS: [&str; 4] = [ALICE, BOB, CAROL, DAVE];

pub(super) struct World {
    pub rng: Rng,
    pub sim: Sim,
    pub states: Vec<State>,
    pub messages: Vec<Message>,
    /// Of each commit in the log.
    pub epochs: Vec<Epoch>,
    /// What a restart of the hub begins with.
    stored: Vec<u8>,
    pub counts: BTreeMap<&'static str, u64>,
}

/// What goes on at a device.
pub(super) struct State {
    pub online: bool,
    /// The commit in the log with which it has come in; `None` while it is not in the group.
    pub since: Option<usize>,
    /// How many messages it has seen.
    pub heard: usize,
    /// Welcomes on their way, each with its commit in the log.
    pub mail: Vec<(usize, WelcomeContent)>,
    /// Messages for it that it did not read.
    pub unread: Vec<usize>,
    /// The commit that it has reported last.
    pub complaint: Option<usize>,
    /// Its store when its user was kicked, and how much of the log it had seen.
    pub stolen: Option<(MemoryStore, usize)>,
}

pub(super) struct Message {
    /// The length of the log when it was sent.
    pub at: usize,
    /// The commit of its epoch in the log.
    pub commit: usize,
    pub content: EncryptedContent,
    pub text: String,
    pub sender: usize,
}

/// The group after a commit.
pub(super) struct Epoch {
    pub number: u64,
    pub members: BTreeSet<usize>,
    pub authenticator: Option<Vec<u8>>,
    /// Whose commit it is that nobody can apply.
    pub culprit: Option<usize>,
    /// Whether the hub has gone back to before it.
    pub void: bool,
}

impl World {
    pub(super) fn new(seed: u64, layering: Layering) -> Self {
        let sim = Sim::new(layering, ALICE);
        let stored = sim.hub().to_bytes().unwrap();
        let mut world = Self {
            rng: Rng::new(seed),
            sim,
            states: vec![State::new(Some(0))],
            messages: vec![],
            epochs: vec![],
            stored,
            counts: BTreeMap::new(),
        };
        world.note_epoch(None);
        world.check_authenticator(0, 0);
        for user in &USERS[1..] {
            world.new_device(user, "A");
        }
        world
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(super) fn new_device(&mut self, user: &str, device: &str) -> usize {
        let index = self.sim.device(user, device);
        self.sim.devices[index].seen = self.sim.log.len();
        self.states.push(State { heard: self.messages.len(), ..State::new(None) });
        index
    }

    /// Whether the room wants the device in its group.
    pub(super) fn is_wanted(&self, device: usize) -> bool {
        let credential = self.sim.credential(device);
        self.sim.room.is_joined(&credential.user_id)
            && matches!(
                self.sim.room.device(&credential.user_id, &credential.device_id),
                axle_mls::hub::DeviceState::Published(_)
            )
    }

    /// Whether the device could commit now.
    pub(super) fn is_able(&mut self, device: usize) -> bool {
        let id = self.sim.id.clone();
        self.is_wanted(device)
            && self.states[device].online
            && self.states[device].since.is_some()
            && self.sim.devices[device].seen == self.sim.log.len()
            && self.sim.member(device).is_in(&id)
            && !self.sim.hub().quarantine().contains(&self.sim.credential(device))
    }

    pub(super) fn able(&mut self) -> Vec<usize> {
        (0..self.states.len()).filter(|device| self.is_able(*device)).collect()
    }

    /// Devices in the hub's view of the group.
    pub(super) fn members(&self) -> BTreeSet<usize> {
        self.sim.hub().members().map(|device| self.index(device)).collect()
    }

    fn index(&self, device: &Credential) -> usize {
        (0..self.states.len()).find(|index| self.sim.credential(*index) == *device).unwrap()
    }

    fn note_epoch(&mut self, culprit: Option<usize>) {
        let (number, members) = (self.sim.hub().epoch(), self.members());
        self.epochs.push(Epoch { number, members, authenticator: None, culprit, void: false });
    }

    /// What the hub knows becomes durable.
    pub(super) fn store(&mut self) {
        self.stored = self.sim.hub().to_bytes().unwrap();
    }

    pub(super) fn restart(&mut self) {
        let hub = HubGroup::from_bytes(&self.stored).unwrap();
        assert_eq!(hub.to_bytes().unwrap(), self.stored);
        self.sim.replace_hub(hub);
    }

    /// What a server does when the membership of the room or a device has changed, or the hub has gone back.
    pub(super) fn room_has_changed(&mut self) {
        let room = self.sim.room.clone();
        self.sim.hub_mut().drop_forbidden(&room).unwrap();
        self.sim.queue_removals();
        self.store();
    }

    /// Sends a commit to the hub.
    pub(super) fn append(&mut self, by: usize, pending: &PendingCommit) -> Result<(), Refusal> {
        let (sender, before) = (self.sim.user_of(by), self.sim.hub().to_bytes().unwrap());
        if self.rng.percent(8) {
            // What it has checked is forgotten; the client asks again.
            let _ = self.sim.hub().check(&pending.content, &sender, &self.sim.room);
            self.restart();
            self.count("crash before append");
        }
        let merged = match self.sim.append_from(&sender, &pending.content) {
            Ok(merged) => merged,
            Err(refusal) => {
                assert_eq!(self.sim.hub().to_bytes().unwrap(), before);
                return Err(refusal);
            }
        };
        self.store();
        self.note_epoch(None);
        let commit = self.sim.log.len() - 1;
        if self.rng.percent(15) {
            // The committer does not hear of it, but reads the log like everybody.
            self.restart();
            self.count("lost answer");
        } else {
            self.confirm(by, commit, merged.changes.external);
        }
        if merged.changes.external {
            // What waited is void, removals that are due, too.
            self.room_has_changed();
        }
        for device in &merged.changes.added {
            let (index, event_id) = (self.index(device), self.sim.log[commit].0.clone());
            let Some(welcome) = pending.welcome.clone().filter(|_| index != by) else { continue };
            if self.rng.percent(20) {
                self.count("lost Welcome");
            } else {
                self.states[index].mail.push((commit, WelcomeContent { welcome, commit_event_id: event_id }));
            }
        }
        Ok(())
    }

    fn confirm(&mut self, by: usize, commit: usize, external: bool) {
        let (id, event_id) = (self.sim.id.clone(), self.sim.log[commit].0.clone());
        self.sim.member(by).confirm(&id, &event_id).unwrap();
        self.sim.devices[by].seen = commit + 1;
        if external {
            self.states[by].since = Some(commit);
            self.states[by].heard = self.messages.len();
        }
        self.check_authenticator(by, commit);
    }

    /// Sends a commit that a device has signed with a wrong tag.
    pub(super) fn append_malicious(&mut self, by: usize, content: &CommitContent) {
        let sender = self.sim.user_of(by);
        self.sim.append_from(&sender, content).unwrap();
        self.store();
        self.note_epoch(Some(by));
    }

    /// A device reads what it has not read yet.
    pub(super) fn sync(&mut self, device: usize) {
        let (id, behind) = (self.sim.id.clone(), self.sim.log.len() - self.sim.devices[device].seen);
        if behind > 4 && self.states[device].since.is_some() {
            self.count("many epochs at once");
        }
        loop {
            if !self.sim.member(device).is_in(&id) {
                self.states[device].since = None;
                if self.open_mail(device) {
                    continue;
                }
                self.sim.devices[device].seen = self.sim.log.len();
                self.states[device].heard = self.messages.len();
                return;
            }
            if self.is_where_nobody_is(device) {
                if self.is_wanted(device) {
                    self.join_external(device);
                }
                return;
            }
            let seen = self.sim.devices[device].seen;
            while self.messages.get(self.states[device].heard).is_some_and(|message| message.at <= seen) {
                self.hear(device);
            }
            if seen == self.sim.log.len() {
                return;
            }
            if self.epochs[seen].void {
                self.sim.devices[device].seen += 1;
            } else if !self.apply(device, seen) {
                return;
            }
        }
    }

    /// Whether the commit that has led the device where it is was taken back: its own, after one that nobody can apply.
    fn is_where_nobody_is(&mut self, device: usize) -> bool {
        let id = self.sim.id.clone();
        let Some(last) = self.sim.member(device).last_commit(&id).unwrap() else { return false };
        let commit = self.sim.log.iter().position(|(event_id, _)| *event_id == last).unwrap();
        self.epochs[commit].void
    }

    /// Joins by a Welcome that has come, if one is good.
    fn open_mail(&mut self, device: usize) -> bool {
        let (id, layering) = (self.sim.id.clone(), self.sim.layering);
        while let Some((commit, welcome)) = self.states[device].mail.pop() {
            let epoch = self.epochs[commit].number;
            // The hub has the trees of the last epochs only.
            if self.epochs[commit].void || epoch + KEPT_EPOCHS <= self.sim.hub().epoch() {
                continue;
            }
            let tree = HubGroup::from_bytes(&self.sim.snapshots[&epoch]).unwrap().ratchet_tree();
            self.sim.member(device).join(&id, layering, &welcome, &tree).unwrap();
            self.sim.devices[device].seen = commit + 1;
            self.states[device].since = Some(commit);
            self.states[device].heard = self.messages.iter().filter(|message| message.at <= commit).count();
            self.check_authenticator(device, commit);
            return true;
        }
        false
    }

    /// Applies a commit of the log; whether the device goes on.
    fn apply(&mut self, device: usize, commit: usize) -> bool {
        let (id, (event_id, content)) = (self.sim.id.clone(), self.sim.log[commit].clone());
        if self.epochs[commit].culprit == Some(device) {
            return self.complain(device, commit, &content);
        }
        match self.sim.member(device).process(&id, &content, &event_id) {
            Ok(processed) => {
                self.sim.devices[device].seen = commit + 1;
                let own = self.sim.credential(device);
                if processed.removed {
                    self.states[device].since = None;
                } else if processed.changes.external && processed.changes.committer == own {
                    self.states[device].since = Some(commit);
                }
                if !processed.removed {
                    self.check_authenticator(device, commit);
                }
                true
            }
            Err(MemberError::CannotApply(error)) => {
                assert!(self.epochs[commit].culprit.is_some(), "device {device}, commit {commit}: {error}");
                self.complain(device, commit, &content)
            }
            Err(error) => panic!("device {device}, commit {commit}: {error}"),
        }
    }

    /// Reports a commit that cannot be applied. Where others have built on it, the device joins again by itself.
    fn complain(&mut self, device: usize, commit: usize, content: &CommitContent) -> bool {
        let (id, epoch, room) = (self.sim.id.clone(), self.epochs[commit].number, self.sim.room.clone());
        let report = self.sim.member(device).report(&id, epoch, &content.message, axle_mls::hub::Verdict::CannotApply);
        match self.sim.hub_mut().report(report, &room) {
            Ok(Some(roll_back)) => {
                let hub = self.sim.hub().roll_back(&roll_back, &self.sim.snapshots[&roll_back.to_epoch]).unwrap();
                self.sim.replace_hub(hub);
                self.epochs.iter_mut().filter(|epoch| epoch.number > roll_back.to_epoch).for_each(|it| it.void = true);
                self.count("rolled back");
                self.room_has_changed();
                true
            }
            Ok(None) => {
                self.store();
                // Others do not say so, or not enough of them: it leaves that behind.
                if self.states[device].complaint.replace(commit) == Some(commit) && self.is_wanted(device) {
                    self.join_external(device);
                    self.count("nobody else complained");
                }
                false
            }
            Err(Refusal::ReportUseless) => {
                let stands = self.epochs[commit + 1..].iter().any(|epoch| !epoch.void);
                if stands && self.is_wanted(device) {
                    self.join_external(device);
                }
                false
            }
            Err(_) => false,
        }
    }

    /// A device joins by itself, in its own place if it has one.
    pub(super) fn join_external(&mut self, device: usize) {
        let id = self.sim.id.clone();
        let pending = self.sim.external_commit(device);
        self.states[device].since = None;
        self.sim.devices[device].seen = self.sim.log.len();
        self.states[device].heard = self.messages.len();
        match self.append(device, &pending) {
            Ok(()) => self.count("joined by itself"),
            Err(refusal) => {
                check_honest(&refusal);
                self.sim.member(device).discard(&id).unwrap();
            }
        }
    }
}

impl State {
    fn new(since: Option<usize>) -> Self {
        Self { online: true, since, heard: 0, mail: vec![], unread: vec![], complaint: None, stolen: None }
    }
}

/// An honest client is refused because of what others do, never for what it has made.
pub(super) fn check_honest(refusal: &Refusal) {
    let is_never = |code: &str| OWN_FAULTS.contains(&code) || ["outdated", "wrong_parent"].contains(&code);
    assert!(!is_never(refusal.code()), "an honest client is refused: {refusal}");
}
