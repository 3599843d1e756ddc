//! What the hub knows of devices.

use std::collections::HashMap;

use axle_mls::Credential;
use axle_mls::hub::DeviceState;
use axle_protocol::UserId;

/// The devices of some users, as they publish them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices(HashMap<UserId, Vec<Credential>>);

impl Devices {
    /// Sets all devices of a user. Of who is never set, nothing is known.
    pub fn put(&mut self, user: UserId, devices: Vec<Credential>) {
        self.0.insert(user, devices);
    }

    /// Whether the devices of a user are known.
    pub fn knows(&self, user: &UserId) -> bool {
        self.0.contains_key(user)
    }

    pub(super) fn state(&self, user: &UserId, device_id: &str) -> DeviceState<'_> {
        let Some(devices) = self.0.get(user) else { return DeviceState::Unknown };
        match devices.iter().find(|device| device.user_id == *user && device.device_id == device_id) {
            Some(device) => DeviceState::Published(device),
            None => DeviceState::Removed,
        }
    }
}
