//! A group with its hub and its devices, all in one place, and the bytes of what would travel.

use axle_mls::event::{CommitContent, WelcomeContent};
use axle_mls::hub::{HubSender, Merged, Refusal};
use axle_mls::member::{CommitPlan, HubState, MemoryStore, PendingCommit};
use axle_mls::{CheckedKeyPackage, DeviceKey, HubGroup, Layering, Member};
use axle_protocol::event::Template;
use axle_protocol::{Event, EventId, KeyId, RoomId, RoomVersion, ServerName, SigningKey, UserId};

use super::Result;
use super::room::Room;

/// Devices that one commit adds while a group is built.
pub(super) const BATCH: usize = 100;
const HUB: &str = "hub.example";
const PARTICIPANT: &str = "participant.example";

pub(super) struct Group {
    pub(super) id: RoomId,
    pub(super) layering: Layering,
    pub(super) room: Room,
    pub(super) hub: HubGroup,
    pub(super) devices: Vec<Device>,
    /// Commits in the order of the log.
    pub(super) log: Vec<(EventId, CommitContent)>,
    pub(super) largest_event: usize,
    key: SigningKey,
}

pub(super) struct Device {
    pub(super) key: DeviceKey,
    pub(super) member: Member,
    pub(super) store: MemoryStore,
    /// How much of the log it has seen.
    seen: usize,
}

impl Device {
    /// The same device, with a copy of its store, and the group in memory if it is in one.
    pub(super) fn copy(&self, room: &RoomId) -> Member {
        let mut member = Member::open(self.key.clone(), self.store.copy());
        member.is_in(room);
        member
    }
}

impl Group {
    /// A group of one device.
    pub(super) fn new(layering: Layering) -> Result<Self> {
        let (id, key) =
            (RoomId::parse("!room:hub.example")?, SigningKey::from_seed(KeyId::parse("ed25519:1")?, &[7; 32]));
        let mut room = Room::default();
        let mut first = device(&mut room, 0, "A")?;
        let sender = HubSender::new(&ServerName::parse(HUB)?, &key.verify_key());
        let named = (layering == Layering::Bound).then_some(&sender);
        let user = first.key.credential().user_id.clone();
        let pending = first.member.create_group(&id, layering, named, &room.binding(&user, []))?;
        let created = HubGroup::create(&id, layering, &sender, &pending.content, &user, &room)?;
        let event_id = room.event_id();
        first.member.confirm(&id, &event_id)?;
        first.seen = 1;
        let hub = created.confirm(event_id.clone());
        let log = vec![(event_id, pending.content)];
        Ok(Self { id, layering, room, hub, devices: vec![first], log, largest_event: 0, key })
    }

    /// A group of so many devices, each of a user of its own. Of each batch that is added, the first takes new keys at
    /// once: where nobody has, every commit with a path is encrypted to each device apart, and at some 570 devices it is
    /// too large for an event. The first, and the last one that was added, have followed to the end.
    pub(super) fn build(layering: Layering, devices: usize) -> Result<Self> {
        let mut group = Self::new(layering)?;
        while group.devices.len() < devices {
            let batch = BATCH.min(devices - group.devices.len());
            let added: Vec<usize> = (0..batch).map(|_| group.new_device("A")).collect::<Result<_>>()?;
            let welcome = group.add(0, &added)?;
            let last = group.devices.len() == devices;
            for (at, device) in [(0, added.first()), (1, added.last())] {
                let (true, Some(device)) = (at == 0 || (last && batch > 1), device) else { continue };
                group.join(*device, &welcome)?;
            }
            if let Some(first) = added.first().filter(|_| devices > 2) {
                group.update(*first)?;
            }
            group.follow(0)?;
        }
        let last = group.devices.len() - 1;
        group.follow(last)?;
        Ok(group)
    }

    /// A device of a new user, published, not in the group.
    pub(super) fn new_device(&mut self, device_id: &str) -> Result<usize> {
        self.device_of(self.devices.len(), device_id)
    }

    /// Another device of a user.
    pub(super) fn device_of(&mut self, user: usize, device_id: &str) -> Result<usize> {
        let device = device(&mut self.room, user, device_id)?;
        self.devices.push(device);
        Ok(self.devices.len() - 1)
    }

    pub(super) fn member(&mut self, device: usize) -> Result<&mut Member> {
        Ok(&mut self.devices.get_mut(device).ok_or("no such device")?.member)
    }

    pub(super) fn user(&self, device: usize) -> Result<UserId> {
        Ok(self.devices.get(device).ok_or("no such device")?.key.credential().user_id.clone())
    }

    pub(super) fn key_package(&mut self, device: usize) -> Result<CheckedKeyPackage> {
        Ok(CheckedKeyPackage::parse(&self.member(device)?.key_package(false)?)?)
    }

    /// A commit of a device that has followed so far.
    pub(super) fn commit(&mut self, by: usize, add: &[usize], update: bool) -> Result<PendingCommit> {
        let user = self.user(by)?;
        let mut added: Vec<UserId> = add.iter().map(|device| self.user(*device)).collect::<Result<_>>()?;
        added.extend(self.hub.queued_adds().into_iter().map(|device| device.user_id));
        let binding = self.room.binding(&user, &added);
        let add = add.iter().map(|device| self.key_package(*device)).collect::<Result<_>>()?;
        let plan = CommitPlan { add, remove: Vec::new(), queued: self.hub.queued(), update, binding };
        let id = self.id.clone();
        Ok(self.member(by)?.commit(&id, plan)?)
    }

    /// The hub takes a commit, or refuses it.
    pub(super) fn append(
        &mut self,
        by: usize,
        content: &CommitContent,
    ) -> Result<std::result::Result<Merged, Refusal>> {
        let user = self.user(by)?;
        let staged = match self.hub.check(content, &user, &self.room) {
            Ok(staged) => staged,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.largest_event = self.largest_event.max(self.event_bytes(CommitContent::EVENT_TYPE, content.to_content())?);
        let event_id = self.room.event_id();
        let merged = self.hub.merge(staged, event_id.clone())?;
        self.log.push((event_id, content.clone()));
        Ok(Ok(merged))
    }

    /// Adds devices, and returns their Welcome.
    pub(super) fn add(&mut self, by: usize, add: &[usize]) -> Result<WelcomeContent> {
        let pending = self.commit(by, add, false)?;
        self.append(by, &pending.content)??;
        self.follow(by)?;
        let commit_event_id = self.hub.last_commit().ok_or("no commit")?.clone();
        Ok(WelcomeContent { welcome: pending.welcome.ok_or("no Welcome")?, commit_event_id })
    }

    pub(super) fn update(&mut self, by: usize) -> Result<()> {
        let pending = self.commit(by, &[], true)?;
        self.append(by, &pending.content)??;
        self.follow(by)
    }

    /// A device joins by the Welcome of the newest commit.
    pub(super) fn join(&mut self, device: usize, welcome: &WelcomeContent) -> Result<()> {
        let (id, layering, tree, seen) = (self.id.clone(), self.layering, self.hub.ratchet_tree(), self.log.len());
        self.member(device)?.join(&id, layering, welcome, &tree)?;
        self.devices.get_mut(device).ok_or("no such device")?.seen = seen;
        Ok(())
    }

    /// A device applies the rest of the log.
    pub(super) fn follow(&mut self, device: usize) -> Result<()> {
        let id = self.id.clone();
        let device = self.devices.get_mut(device).ok_or("no such device")?;
        for (event_id, content) in self.log.get(device.seen..).unwrap_or_default() {
            device.member.process(&id, content, event_id)?;
        }
        device.seen = self.log.len();
        Ok(())
    }

    pub(super) fn state(&self) -> Result<HubState> {
        Ok(HubState {
            group_info: self.hub.group_info().to_vec(),
            ratchet_tree: self.hub.ratchet_tree(),
            last_commit: self.hub.last_commit().ok_or("no commit")?.clone(),
        })
    }

    /// The size of an event with this content, with all that it has when the hub has finished it.
    pub(super) fn event_bytes(
        &self,
        event_type: &str,
        content: serde_json::Map<String, serde_json::Value>,
    ) -> Result<usize> {
        let (hub, participant) = (ServerName::parse(HUB)?, ServerName::parse(PARTICIPANT)?);
        let sender = self.user(0)?;
        let template = Template {
            room_id: self.id.clone(),
            event_type: event_type.into(),
            state_key: None,
            origin_server_ts: 1_700_000_000_000,
            content,
            sender: sender.clone(),
        };
        let lpdu = template.into_lpdu(RoomVersion::I1, &hub, &participant, &self.key)?;
        let auth_events: Vec<EventId> = self.room.binding(&sender, []).auth_events.into_iter().collect();
        let (last, _) = self.log.last().ok_or("no commit")?;
        let event: Event = lpdu.complete(&auth_events, std::slice::from_ref(last), &hub, &self.key)?;
        Ok(event.canonical_json().len())
    }
}

fn device(room: &mut Room, user: usize, device_id: &str) -> Result<Device> {
    let user_id = UserId::parse(format!("@user{user}:{PARTICIPANT}"))?;
    let key = DeviceKey::generate(user_id, device_id)?;
    room.publish(key.credential());
    let store = MemoryStore::default();
    let member = Member::open(key.clone(), store.clone());
    Ok(Device { key, member, store, seen: 0 })
}
