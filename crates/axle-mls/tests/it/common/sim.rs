//! A room with its hub and its devices, all in one place: what one sends, the hub judges, and the others get.

use std::collections::BTreeMap;

use axle_mls::event::{CommitContent, EncryptedContent, ProposalContent, WelcomeContent};
use axle_mls::hub::{HubSender, Merged, PairedMember, Refusal, added_users, without_adds_of};
use axle_mls::member::{CommitPlan, HubState, MemoryStore, PendingCommit, Processed};
use axle_mls::{CheckedKeyPackage, Credential, HubGroup, Layering, Member};
use axle_protocol::{EventId, KeyId, RoomId, ServerName, SigningKey, UserId};

use super::room::Room;
use super::{key, user};

pub(crate) const LAYERINGS: [Layering; 2] = [Layering::OnTop, Layering::Bound];

pub(crate) struct Sim {
    pub id: RoomId,
    pub layering: Layering,
    pub room: Room,
    pub hub_key: SigningKey,
    /// Whether a new group in the bound layering names the hub as its external sender.
    pub names_hub: bool,
    hub: Option<HubGroup>,
    pub devices: Vec<Device>,
    /// Commits in the order of the log.
    pub log: Vec<(EventId, CommitContent)>,
    /// The state of each epoch, as a server keeps it.
    pub snapshots: BTreeMap<u64, Vec<u8>>,
}

pub(crate) struct Device {
    pub member: Member,
    pub store: MemoryStore,
    /// How much of the log it has seen.
    pub seen: usize,
}

pub(crate) fn hub_name() -> ServerName {
    ServerName::parse("hub.test").unwrap()
}

impl Sim {
    /// A room with the group of its first device.
    pub(crate) fn new(layering: Layering, creator: &str) -> Self {
        let mut sim = Self::empty(layering);
        sim.device(creator, "A");
        let pending = sim.create_group();
        sim.establish(&pending).unwrap();
        sim
    }

    /// A room with the group of several devices, `names` of users, each with one device.
    pub(crate) fn with(layering: Layering, names: &[&str]) -> Self {
        let mut sim = Self::new(layering, names[0]);
        let others: Vec<usize> = names[1..].iter().map(|name| sim.device(name, "A")).collect();
        if !others.is_empty() {
            sim.add(0, &others).unwrap();
        }
        sim
    }

    pub(crate) fn empty(layering: Layering) -> Self {
        let hub_key = SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &[9; 32]);
        let id = RoomId::parse("!room:hub.test").unwrap();
        Self {
            id,
            layering,
            room: Room::default(),
            hub_key,
            names_hub: true,
            hub: None,
            devices: vec![],
            log: vec![],
            snapshots: BTreeMap::new(),
        }
    }

    pub(crate) fn hub_sender(&self) -> HubSender {
        HubSender::new(&hub_name(), &self.hub_key.verify_key())
    }

    pub(crate) fn hub(&self) -> &HubGroup {
        self.hub.as_ref().unwrap()
    }

    pub(crate) fn hub_mut(&mut self) -> &mut HubGroup {
        self.hub.as_mut().unwrap()
    }

    pub(crate) fn replace_hub(&mut self, hub: HubGroup) {
        self.hub = Some(hub);
    }

    /// A device whose user is joined, published, with nothing in its store.
    pub(crate) fn device(&mut self, user_id: &str, device_id: &str) -> usize {
        let user_id = user(user_id);
        if !self.room.joined.contains(&user_id) {
            self.room.join(&user_id);
        }
        let store = MemoryStore::default();
        let member = Member::open(key(user_id.as_str(), device_id), store.clone());
        self.room.publish(member.credential());
        self.devices.push(Device { member, store, seen: 0 });
        self.devices.len() - 1
    }

    pub(crate) fn member(&mut self, device: usize) -> &mut Member {
        &mut self.devices[device].member
    }

    pub(crate) fn credential(&self, device: usize) -> Credential {
        self.devices[device].member.credential().clone()
    }

    pub(crate) fn user_of(&self, device: usize) -> UserId {
        self.credential(device).user_id
    }

    /// What the first device commits first.
    pub(crate) fn create_group(&mut self) -> PendingCommit {
        let (id, layering, hub) = (self.id.clone(), self.layering, self.hub_sender());
        let hub = (layering == Layering::Bound && self.names_hub).then_some(&hub);
        let binding = self.room.binding(&self.user_of(0), []);
        self.member(0).create_group(&id, layering, hub, &binding).unwrap()
    }

    pub(crate) fn establish(&mut self, pending: &PendingCommit) -> Result<(), Refusal> {
        let (sender, hub) = (self.user_of(0), self.hub_sender());
        let created = HubGroup::create(&self.id, self.layering, &hub, &pending.content, &sender, &self.room)?;
        let event_id = self.room.event_id();
        let hub = created.confirm(event_id.clone());
        self.snapshots.insert(hub.epoch(), hub.to_bytes().unwrap());
        self.hub = Some(hub);
        self.log.push((event_id.clone(), pending.content.clone()));
        let id = self.id.clone();
        self.member(0).confirm(&id, &event_id).unwrap();
        self.devices[0].seen = 1;
        Ok(())
    }

    pub(crate) fn key_package(&mut self, device: usize) -> CheckedKeyPackage {
        CheckedKeyPackage::parse(&self.member(device).key_package(false).unwrap()).unwrap()
    }

    /// A plan that includes what the hub has queued, bound to the room as it is.
    pub(crate) fn plan(&mut self, committer: usize, add: &[usize], remove: &[Credential]) -> CommitPlan {
        let added: Vec<UserId> = add.iter().map(|device| self.user_of(*device)).collect();
        let mut binding = self.room.binding(&self.user_of(committer), &added);
        let mut queued = if self.layering == Layering::Bound { self.due_proposals() } else { vec![] };
        if let Some(out) = self.room.paired.as_ref().and_then(|paired| paired.puts_out.as_ref()) {
            queued = without_adds_of(out, queued);
        }
        for user in queued.iter().flat_map(|message| added_users(message)) {
            binding.auth_events.extend(axle_mls::hub::RoomView::member_event(&self.room, &user));
        }
        let add = add.iter().map(|device| self.key_package(*device)).collect();
        CommitPlan { add, remove: remove.to_vec(), queued, update: false, binding }
    }

    /// What waits, as the hub shows it: it knows of no member event that is still to come.
    fn due_proposals(&self) -> Vec<Vec<u8>> {
        let Some(PairedMember { puts_out: Some(out), .. }) = &self.room.paired else {
            return self.hub().due_proposals(&self.room);
        };
        let mut room = self.room.clone();
        room.paired = None;
        room.joined.insert(out.clone());
        self.hub().due_proposals(&room)
    }

    pub(crate) fn commit(&mut self, committer: usize, plan: CommitPlan) -> PendingCommit {
        let id = self.id.clone();
        self.member(committer).commit(&id, plan).unwrap()
    }

    pub(crate) fn check(&self, committer: usize, content: &CommitContent) -> Result<(), Refusal> {
        self.hub().check(content, &self.user_of(committer), &self.room).map(drop)
    }

    /// Sends a commit to the hub. If it takes it, everybody gets it, and who is added the Welcome.
    pub(crate) fn submit(&mut self, committer: usize, pending: &PendingCommit) -> Result<Merged, Refusal> {
        let merged = self.append(committer, pending)?;
        self.catch_up();
        self.welcome(pending, &merged);
        Ok(merged)
    }

    /// Sends a commit to the hub, which appends it; nobody hears of it yet.
    pub(crate) fn append(&mut self, committer: usize, pending: &PendingCommit) -> Result<Merged, Refusal> {
        self.append_from(&self.user_of(committer), &pending.content)
    }

    /// The same, of whatever device of a user.
    pub(crate) fn append_from(&mut self, sender: &UserId, content: &CommitContent) -> Result<Merged, Refusal> {
        let hub = self.hub.as_mut().unwrap();
        let staged = hub.check(content, sender, &self.room)?;
        let event_id = self.room.event_id();
        let merged = hub.merge(staged, event_id.clone())?;
        self.snapshots.insert(merged.epoch, merged.snapshot.clone());
        self.log.push((event_id, content.clone()));
        self.room.paired = None;
        Ok(merged)
    }

    /// Every device in the group reads the rest of the log.
    pub(crate) fn catch_up(&mut self) {
        for device in 0..self.devices.len() {
            self.catch_up_one(device);
        }
    }

    pub(crate) fn catch_up_one(&mut self, device: usize) -> Vec<Processed> {
        let (id, mut all) = (self.id.clone(), vec![]);
        while self.member(device).is_in(&id) && self.devices[device].seen < self.log.len() {
            let (event_id, content) = self.log[self.devices[device].seen].clone();
            all.push(self.member(device).process(&id, &content, &event_id).unwrap());
            self.devices[device].seen += 1;
        }
        all
    }

    pub(crate) fn welcome(&mut self, pending: &PendingCommit, merged: &Merged) {
        let Some(welcome) = pending.welcome.clone() else { return };
        let content = WelcomeContent { welcome, commit_event_id: self.log.last().unwrap().0.clone() };
        let tree = HubGroup::from_bytes(&self.snapshots[&merged.epoch]).unwrap().ratchet_tree();
        for device in 0..self.devices.len() {
            if merged.changes.added.contains(&self.credential(device)) {
                let (id, layering) = (self.id.clone(), self.layering);
                self.member(device).join(&id, layering, &content, &tree).unwrap();
                self.devices[device].seen = self.log.len();
            }
        }
    }

    pub(crate) fn add(&mut self, by: usize, devices: &[usize]) -> Result<Merged, Refusal> {
        let plan = self.plan(by, devices, &[]);
        let pending = self.commit(by, plan);
        self.submit_or_discard(by, &pending)
    }

    pub(crate) fn remove(&mut self, by: usize, devices: &[Credential]) -> Result<Merged, Refusal> {
        let plan = self.plan(by, &[], devices);
        let pending = self.commit(by, plan);
        self.submit_or_discard(by, &pending)
    }

    pub(crate) fn update(&mut self, by: usize) -> Result<Merged, Refusal> {
        let plan = CommitPlan { update: true, ..self.plan(by, &[], &[]) };
        let pending = self.commit(by, plan);
        self.submit_or_discard(by, &pending)
    }

    pub(crate) fn submit_or_discard(&mut self, by: usize, pending: &PendingCommit) -> Result<Merged, Refusal> {
        let result = self.submit(by, pending);
        if result.is_err() {
            let id = self.id.clone();
            self.member(by).discard(&id).unwrap();
        }
        result
    }

    pub(crate) fn hub_state(&self) -> HubState {
        HubState {
            group_info: self.hub().group_info().to_vec(),
            ratchet_tree: self.hub().ratchet_tree(),
            last_commit: self.hub().last_commit().unwrap().clone(),
        }
    }

    pub(crate) fn external_commit(&mut self, device: usize) -> PendingCommit {
        let (id, layering, state) = (self.id.clone(), self.layering, self.hub_state());
        let user = self.user_of(device);
        let binding = self.room.binding(&user, [&user]);
        self.member(device).join_external(&id, layering, &state, &binding).unwrap()
    }

    pub(crate) fn join_external(&mut self, device: usize) -> Result<Merged, Refusal> {
        let pending = self.external_commit(device);
        let result = self.append(device, &pending);
        let id = self.id.clone();
        match &result {
            Ok(_) => {
                let event_id = self.log.last().unwrap().0.clone();
                self.member(device).confirm(&id, &event_id).unwrap();
                self.devices[device].seen = self.log.len();
                self.catch_up();
            }
            Err(_) => self.member(device).discard(&id).unwrap(),
        }
        result
    }

    pub(crate) fn queue(&mut self, by: usize, proposal: &ProposalContent) -> Result<(), Refusal> {
        let sender = self.user_of(by);
        let hub = self.hub.as_mut().unwrap();
        let checked = hub.check_proposal(proposal, &sender, &self.room)?;
        hub.queue(checked)
    }

    pub(crate) fn queue_removals(&mut self) -> usize {
        let sender = self.hub_sender();
        self.hub.as_mut().unwrap().queue_removals(&sender, &self.hub_key, &self.room).unwrap()
    }

    pub(crate) fn encrypt(&mut self, by: usize, text: &str) -> EncryptedContent {
        let id = self.id.clone();
        self.member(by).encrypt(&id, text.as_bytes()).unwrap()
    }

    /// Sends a message, which these devices can read.
    pub(crate) fn talk(&mut self, by: usize, readers: &[usize]) {
        let content = self.encrypt(by, "hello");
        self.hub().check_message(&content, &self.user_of(by)).unwrap();
        let sender = self.credential(by);
        for reader in readers {
            let id = self.id.clone();
            let decrypted = self.member(*reader).decrypt(&id, &content).unwrap();
            assert_eq!((decrypted.plaintext.as_slice(), &decrypted.sender), (b"hello".as_slice(), &sender));
        }
    }

    /// All devices in the group agree with the hub, and with each other on secrets.
    pub(crate) fn assert_agreement(&mut self) {
        let id = self.id.clone();
        let (epoch, mut expected): (u64, Vec<_>) = (self.hub().epoch(), self.hub().members().cloned().collect());
        expected.sort_by_key(Credential::encode);
        let mut authenticators = vec![];
        for device in &mut self.devices {
            let member = &mut device.member;
            if !expected.contains(member.credential()) {
                assert!(!member.is_in(&id), "{member:?}");
                continue;
            }
            assert_eq!(member.epoch(&id).unwrap(), epoch, "{member:?}");
            let mut members = member.members(&id).unwrap();
            members.sort_by_key(Credential::encode);
            assert_eq!(members, expected);
            authenticators.push(member.epoch_authenticator(&id).unwrap());
        }
        authenticators.dedup();
        assert_eq!(authenticators.len(), 1);
    }
}
