//! A room as its hub sees it: who is joined, what devices have published, and the ids of the events that hold.

use std::collections::{BTreeSet, HashMap};

use axle_mls::Credential;
use axle_mls::event::RoomBinding;
use axle_mls::hub::{DeviceState, RoomView};
use axle_protocol::event::sha256;
use axle_protocol::{EventId, UserId};

#[derive(Default)]
pub(super) struct Room {
    /// The member event of each user, all of whom are joined, and their devices.
    users: HashMap<UserId, (EventId, HashMap<String, Credential>)>,
    events: u64,
}

impl Room {
    /// The id of a new event.
    pub(super) fn event_id(&mut self) -> EventId {
        self.events += 1;
        EventId::from_reference_hash(&sha256(self.events.to_be_bytes()))
    }

    /// The user of a device joins, if that is not so yet, and publishes the device.
    pub(super) fn publish(&mut self, device: &Credential) {
        let id = self.event_id();
        let (_, devices) = self.users.entry(device.user_id.clone()).or_insert_with(|| (id, HashMap::new()));
        devices.insert(device.device_id.clone(), device.clone());
    }

    /// What a commit of `sender` is bound to that adds devices of these users.
    pub(super) fn binding<'a>(&self, sender: &UserId, added: impl IntoIterator<Item = &'a UserId>) -> RoomBinding {
        let mut auth_events = self.auth_events(sender);
        auth_events.extend(added.into_iter().filter_map(|user| self.member_event(user)));
        RoomBinding { auth_events, member_event: None }
    }
}

impl RoomView for Room {
    fn is_joined(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    fn is_world_readable(&self) -> bool {
        false
    }

    fn device(&self, user: &UserId, device_id: &str) -> DeviceState<'_> {
        let device = self.users.get(user).and_then(|(_, devices)| devices.get(device_id));
        device.map_or(DeviceState::Unknown, DeviceState::Published)
    }

    fn auth_events(&self, sender: &UserId) -> BTreeSet<EventId> {
        let fixed = ["create", "power levels"].map(|name| EventId::from_reference_hash(&sha256(name)));
        fixed.into_iter().chain(self.member_event(sender)).collect()
    }

    fn member_event(&self, user: &UserId) -> Option<EventId> {
        self.users.get(user).map(|(id, _)| id.clone())
    }
}
