//! A room with our hub, our devices and foreign ones.

use axle_mls::event::{CommitContent, EncryptedContent, RoomBinding};
use axle_mls::hub::{Merged, Refusal, RoomView};
use axle_mls::member::{CommitPlan, PendingCommit};
use axle_mls::{CheckedKeyPackage, Credential, HubGroup, Layering};
use axle_protocol::UserId;

use super::{Change, Foreign, Made};
use crate::common::sim::Sim;

/// Whose device, and which.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Who {
    Ours(usize),
    Theirs(usize),
}

pub(super) struct World {
    pub sim: Sim,
    theirs: Vec<Guest>,
}

struct Guest {
    device: Box<dyn Foreign>,
    inside: bool,
}

impl World {
    pub(super) fn new(layering: Layering) -> Self {
        Self { sim: Sim::empty(layering), theirs: vec![] }
    }

    pub(super) fn layering(&self) -> Layering {
        self.sim.layering
    }

    /// A device of ours whose user is joined.
    pub(super) fn ours(&mut self, user_id: &str, device_id: &str) -> Who {
        Who::Ours(self.sim.device(user_id, device_id))
    }

    /// A foreign device whose user is joined, published.
    pub(super) fn theirs(&mut self, device: Box<dyn Foreign>) -> Who {
        let credential = device.credential();
        if !self.sim.room.joined.contains(&credential.user_id) {
            self.sim.room.join(&credential.user_id);
        }
        self.sim.room.publish(credential);
        self.theirs.push(Guest { device, inside: false });
        Who::Theirs(self.theirs.len() - 1)
    }

    pub(super) fn credential(&self, who: Who) -> Credential {
        match who {
            Who::Ours(n) => self.sim.credential(n),
            Who::Theirs(n) => self.theirs[n].device.credential().clone(),
        }
    }

    pub(super) fn user(&self, who: Who) -> UserId {
        self.credential(who).user_id
    }

    fn key_package(&mut self, who: Who) -> Vec<u8> {
        match who {
            Who::Ours(n) => self.sim.member(n).key_package(false).unwrap(),
            Who::Theirs(n) => self.theirs[n].device.key_package(),
        }
    }

    /// What an honest client binds a commit to that adds these devices and includes what waits at the hub.
    fn binding(&self, by: Who, add: &[Who]) -> RoomBinding {
        let added: Vec<UserId> = add.iter().map(|who| self.user(*who)).collect();
        let mut binding = self.sim.room.binding(&self.user(by), &added);
        for device in self.sim.hub().queued_adds() {
            binding.auth_events.extend(self.sim.room.member_event(&device.user_id));
        }
        binding
    }

    fn bound(&self, binding: RoomBinding) -> Option<RoomBinding> {
        (self.layering() == Layering::Bound).then_some(binding)
    }

    fn queued(&self) -> Vec<Vec<u8>> {
        if self.layering() == Layering::Bound { self.sim.hub().queued() } else { vec![] }
    }

    /// A foreign device establishes the group.
    pub(super) fn found(&mut self, by: Who) {
        let Who::Theirs(n) = by else { unreachable!("ours have Sim::establish") };
        let (id, sender) = (self.sim.id.clone(), self.user(by));
        let binding = self.bound(self.sim.room.binding(&sender, []));
        let made = self.theirs[n].device.create(&id, binding.as_ref());
        let content = CommitContent {
            message: made.message,
            public_group_state: made.group_state,
            prev_commit_event_id: None,
            proposals: vec![],
        };
        let hub = self.sim.hub_sender();
        let created = HubGroup::create(&id, self.layering(), &hub, &content, &sender, &self.sim.room).unwrap();
        let event_id = self.sim.room.event_id();
        let hub = created.confirm(event_id.clone());
        self.sim.snapshots.insert(hub.epoch(), hub.to_bytes().unwrap());
        self.sim.replace_hub(hub);
        self.sim.log.push((event_id, content));
        self.theirs[n].device.settle(true);
        self.theirs[n].inside = true;
    }

    /// Commits that these are added and those removed, and what waits at the hub.
    pub(super) fn commit(&mut self, by: Who, add: &[Who], remove: &[Who]) -> Result<Merged, Refusal> {
        let (content, welcome) = self.make_commit(by, add, remove);
        self.send(by, &content, welcome)
    }

    pub(super) fn make_commit(&mut self, by: Who, add: &[Who], remove: &[Who]) -> (CommitContent, Option<Vec<u8>>) {
        let (binding, queued) = (self.binding(by, add), self.queued());
        let packages: Vec<Vec<u8>> = add.iter().map(|who| self.key_package(*who)).collect();
        let gone: Vec<Credential> = remove.iter().map(|who| self.credential(*who)).collect();
        match by {
            Who::Ours(n) => {
                let add = packages.iter().map(|package| CheckedKeyPackage::parse(package).unwrap()).collect();
                let plan = CommitPlan { add, remove: gone, queued, update: true, binding };
                let pending = self.sim.commit(n, plan);
                (pending.content, pending.welcome)
            }
            Who::Theirs(n) => {
                let adds = packages.into_iter().map(Change::Add);
                let changes: Vec<Change> = adds.chain(gone.into_iter().map(Change::Remove)).collect();
                let binding = self.bound(binding);
                let made = self.theirs[n].device.commit(&changes, &queued, binding.as_ref());
                self.content(made, queued)
            }
        }
    }

    fn content(&self, made: Made, proposals: Vec<Vec<u8>>) -> (CommitContent, Option<Vec<u8>>) {
        let content = CommitContent {
            message: made.message,
            public_group_state: made.group_state,
            prev_commit_event_id: self.sim.hub().last_commit().cloned(),
            proposals,
        };
        (content, made.welcome)
    }

    /// A device joins by itself.
    pub(super) fn join_external(&mut self, by: Who, resync: bool) -> Result<Merged, Refusal> {
        let content = match by {
            Who::Ours(n) => {
                let pending = self.sim.external_commit(n);
                self.sim.devices[n].seen = self.sim.log.len();
                pending.content
            }
            Who::Theirs(n) => {
                let user = self.user(by);
                let binding = self.bound(self.sim.room.binding(&user, [&user]));
                let state = self.sim.hub_state();
                let made = self.theirs[n].device.join_external(&state, resync, binding.as_ref());
                self.content(made, vec![]).0
            }
        };
        self.send(by, &content, None)
    }

    /// Sends a commit to the hub. If it takes it, everybody gets it, and who is added the Welcome.
    pub(super) fn send(
        &mut self,
        by: Who,
        content: &CommitContent,
        welcome: Option<Vec<u8>>,
    ) -> Result<Merged, Refusal> {
        let merged = match self.sim.append_from(&self.user(by), content) {
            Ok(merged) => merged,
            Err(refusal) => {
                self.discard(by);
                return Err(refusal);
            }
        };
        for (n, guest) in self.theirs.iter_mut().enumerate() {
            if by == Who::Theirs(n) {
                guest.device.settle(true);
                guest.inside = true;
            } else if guest.inside {
                guest.inside = !guest.device.process(content);
            }
        }
        self.sim.catch_up();
        self.welcome(content, welcome, &merged);
        self.assert_agreement();
        Ok(merged)
    }

    fn discard(&mut self, by: Who) {
        match by {
            Who::Ours(n) => {
                let id = self.sim.id.clone();
                self.sim.member(n).discard(&id).unwrap();
            }
            Who::Theirs(n) => self.theirs[n].device.settle(false),
        }
    }

    fn welcome(&mut self, content: &CommitContent, welcome: Option<Vec<u8>>, merged: &Merged) {
        let Some(bytes) = welcome.clone() else { return };
        self.sim.welcome(&PendingCommit { content: content.clone(), welcome }, merged);
        let tree = self.sim.hub().ratchet_tree();
        for guest in &mut self.theirs {
            if merged.changes.added.contains(guest.device.credential()) {
                guest.device.join(&bytes, &tree);
                guest.inside = true;
            }
        }
    }

    /// A foreign device proposes something, and the hub queues it.
    pub(super) fn propose_theirs(&mut self, by: Who, add: &[Who], change: Change) {
        let Who::Theirs(n) = by else { unreachable!("ours have Member::propose_add and so on") };
        let added: Vec<UserId> = add.iter().map(|who| self.user(*who)).collect();
        let binding = self.sim.room.binding(&self.user(by), &added);
        let message = self.theirs[n].device.propose(&change, Some(&binding));
        let (sender, proposal) = (self.user(by), axle_mls::event::ProposalContent { message });
        let checked = self.sim.hub().check_proposal(&proposal, &sender, &self.sim.room).unwrap();
        self.sim.hub_mut().queue(checked).unwrap();
    }

    pub(super) fn propose_to_add(&mut self, by: Who, device: Who) {
        let package = self.key_package(device);
        match by {
            Who::Theirs(_) => self.propose_theirs(by, &[device], Change::Add(package)),
            Who::Ours(n) => {
                let (id, user) = (self.sim.id.clone(), self.user(device));
                let binding = self.sim.room.binding(&self.user(by), [&user]);
                let package = CheckedKeyPackage::parse(&package).unwrap();
                let proposal = self.sim.member(n).propose_add(&id, package, &binding).unwrap();
                self.sim.queue(n, &proposal).unwrap();
            }
        }
    }

    pub(super) fn propose_update(&mut self, by: usize) {
        let (id, binding) = (self.sim.id.clone(), self.sim.room.binding(&self.sim.user_of(by), []));
        let proposal = self.sim.member(by).propose_update(&id, &binding).unwrap();
        self.sim.queue(by, &proposal).unwrap();
    }

    /// Sends a message, which everybody in the group reads, and nobody else.
    pub(super) fn talk(&mut self, by: Who) {
        let text = format!("hello from {}", self.user(by));
        let (id, sender) = (self.sim.id.clone(), self.user(by));
        let content = match by {
            Who::Ours(n) => self.sim.encrypt(n, &text),
            Who::Theirs(n) => EncryptedContent {
                ciphertext: self.theirs[n].device.encrypt(text.as_bytes()),
                commit_event_id: self.sim.hub().last_commit().unwrap().clone(),
            },
        };
        self.sim.hub().check_message(&content, &sender).unwrap();
        for n in 0..self.sim.devices.len() {
            let inside = self.sim.member(n).is_in(&id);
            let read = (by != Who::Ours(n)).then(|| self.sim.member(n).decrypt(&id, &content));
            let Some(read) = read else { continue };
            assert_eq!(read.ok().map(|it| it.plaintext), inside.then(|| text.clone().into_bytes()));
        }
        for (n, guest) in self.theirs.iter_mut().enumerate() {
            if by != Who::Theirs(n) {
                let read = guest.device.decrypt(&content.ciphertext);
                assert_eq!(read, guest.inside.then(|| text.clone().into_bytes()));
            }
        }
    }

    /// Whoever is in the group has the same secrets, and the hub knows who that is.
    pub(super) fn assert_agreement(&mut self) {
        let (id, members) = (self.sim.id.clone(), self.sim.hub().members().cloned().collect::<Vec<_>>());
        let mut authenticators = vec![];
        if self.sim.devices.iter().any(|device| members.contains(device.member.credential())) {
            self.sim.assert_agreement();
            let first = (0..self.sim.devices.len()).find(|n| self.sim.member(*n).is_in(&id)).unwrap();
            authenticators.push(self.sim.member(first).epoch_authenticator(&id).unwrap());
        }
        for guest in &mut self.theirs {
            assert_eq!(members.contains(guest.device.credential()), guest.inside, "{:?}", guest.device.credential());
            if guest.inside {
                authenticators.push(guest.device.authenticator());
            }
        }
        assert!(authenticators.windows(2).all(|pair| pair[0] == pair[1]), "the epoch authenticators differ");
    }
}
