//! A room as its hub sees it, without events: who is joined, and what devices have published.

use std::collections::{BTreeMap, BTreeSet};

use axle_mls::Credential;
use axle_mls::event::RoomBinding;
use axle_mls::hub::{DeviceState, PairedMember, RoomView};
use axle_protocol::event::sha256;
use axle_protocol::{EventId, UserId};

#[derive(Default, Clone)]
pub(crate) struct Room {
    pub joined: BTreeSet<UserId>,
    pub world_readable: bool,
    /// `None`: removed.
    pub devices: BTreeMap<(UserId, String), Option<Credential>>,
    pub member_events: BTreeMap<UserId, EventId>,
    pub paired: Option<PairedMember>,
    events: u32,
}

impl Room {
    pub(crate) fn event_id(&mut self) -> EventId {
        self.events += 1;
        EventId::from_reference_hash(&sha256(self.events.to_be_bytes()))
    }

    pub(crate) fn join(&mut self, user: &UserId) {
        let id = self.event_id();
        self.joined.insert(user.clone());
        self.member_events.insert(user.clone(), id);
    }

    /// A leave, kick or ban.
    pub(crate) fn part(&mut self, user: &UserId) {
        let id = self.event_id();
        self.joined.remove(user);
        self.member_events.insert(user.clone(), id);
    }

    /// A member event that is about to be appended: the state is that after it, and it has its id already.
    pub(crate) fn pair(&mut self, user: &UserId, joins: bool) -> [u8; 32] {
        if joins {
            self.join(user)
        } else {
            self.part(user)
        }
        let event_id = self.member_events.get(user).cloned();
        let lpdu_hash = sha256(format!("{user} {event_id:?}"));
        let puts_out = (!joins).then(|| user.clone());
        self.paired = Some(PairedMember { lpdu_hash, event_id, puts_out });
        lpdu_hash
    }

    pub(crate) fn publish(&mut self, device: &Credential) {
        self.devices.insert((device.user_id.clone(), device.device_id.clone()), Some(device.clone()));
    }

    pub(crate) fn remove_device(&mut self, device: &Credential) {
        self.devices.insert((device.user_id.clone(), device.device_id.clone()), None);
    }

    /// What an honest client of `sender` binds a commit to that adds devices of these users.
    pub(crate) fn binding<'a>(&self, sender: &UserId, added: impl IntoIterator<Item = &'a UserId>) -> RoomBinding {
        let mut auth_events = self.auth_events(sender);
        auth_events.extend(added.into_iter().filter_map(|user| self.member_event(user)));
        if let Some(id) = self.paired.as_ref().and_then(|paired| paired.event_id.as_ref()) {
            auth_events.remove(id);
        }
        RoomBinding { auth_events, member_event: self.paired.as_ref().map(|paired| paired.lpdu_hash) }
    }
}

impl RoomView for Room {
    fn is_joined(&self, user: &UserId) -> bool {
        self.joined.contains(user)
    }

    fn is_world_readable(&self) -> bool {
        self.world_readable
    }

    fn device(&self, user: &UserId, device_id: &str) -> DeviceState<'_> {
        match self.devices.get(&(user.clone(), device_id.to_owned())) {
            Some(Some(credential)) => DeviceState::Published(credential),
            Some(None) => DeviceState::Removed,
            None => DeviceState::Unknown,
        }
    }

    fn auth_events(&self, sender: &UserId) -> BTreeSet<EventId> {
        let fixed = ["create", "power levels"].map(|name| EventId::from_reference_hash(&sha256(name)));
        fixed.into_iter().chain(self.member_event(sender)).collect()
    }

    fn member_event(&self, user: &UserId) -> Option<EventId> {
        self.member_events.get(user).cloned()
    }

    fn paired(&self) -> Option<&PairedMember> {
        self.paired.as_ref()
    }
}
