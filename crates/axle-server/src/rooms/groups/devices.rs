//! Which devices users publish for MLS, as the store has it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use axle_mls::Credential;
use axle_protocol::{ServerName, UserId};
use axle_room::Devices;
use axle_store::{Store, StoreError};

use crate::between;

/// Brings what other servers' users publish into the store, if it is not there.
#[async_trait]
pub(crate) trait DeviceSource: Send + Sync {
    /// Asks for the devices of these users that are not known, for a while. What cannot be had stays unknown.
    async fn ensure_devices(&self, users: &[UserId]);
}

/// What the store knows of the devices of users.
pub(in crate::rooms) async fn known(
    store: &dyn Store,
    us: &ServerName,
    users: BTreeSet<UserId>,
) -> Result<Devices, StoreError> {
    let mut devices = Devices::default();
    let (local, others): (Vec<_>, Vec<_>) = users.into_iter().partition(|user| user.server_str() == us.as_str());
    if let Some(viewer) = local.first().cloned() {
        for keys in store.user_keys(local, &viewer).await? {
            let published = keys.devices.iter().filter_map(|device| credential(&device.json));
            devices.put(keys.user_id, published.collect());
        }
    }
    for user in others {
        if let Some(published) = store.known_remote_devices(&user).await? {
            devices.put(user, between::credentials(&published));
        }
    }
    Ok(devices)
}

/// The credential in a device object that was checked when it was published.
fn credential(json: &str) -> Option<Credential> {
    Credential::published_in(&serde_json::from_str(json).ok()?)
}
