//! Tells other servers of the devices of our users.
//!
//! The store knows which users' devices changed since they were told of, and what was told. Updates tell the difference,
//! and are queued for each server that shares a room with the user, in one write with what they tell. While it waits, an
//! update of one device gives way to the next one of that device, and to no other: servers that speak the draft have no
//! list to ask for after a gap.

use std::collections::{BTreeMap, BTreeSet};

use axle_client_api::{PublishedKeys, published_keys};
use axle_federation::edu::{DeviceChange, DeviceListUpdate, MAX_DEVICE_CHANGES, Object, SigningKeyUpdate};
use axle_protocol::event::sha256;
use axle_protocol::{MatrixError, ServerName, base64, canonical_json};
use axle_store::{NewEdu, ToldDevices, UntoldDevices};
use serde::{Deserialize, Serialize};

use super::{Between, broken};

/// Users read at a time.
const PAGE: usize = 50;
/// Device objects that one update tells together, in bytes, unless it is only one.
const MAX_UPDATE_BYTES: usize = 32 * 1024;

/// What was told of a user: hashes.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Told {
    /// By device.
    devices: BTreeMap<String, String>,
    signing_keys: Option<String>,
}

/// Tells of everything that is not told yet. When this returns, it is queued durably.
pub(super) async fn tell_all(between: &Between) -> Result<(), MatrixError> {
    let _telling = between.telling.lock().await;
    loop {
        let untold = between.store.untold_devices(PAGE).await.map_err(broken)?;
        if untold.is_empty() {
            return Ok(());
        }
        for untold in untold {
            tell(between, untold).await?;
        }
    }
}

async fn tell(between: &Between, untold: UntoldDevices) -> Result<(), MatrixError> {
    let UntoldDevices { user_id, changed, told: before } = untold;
    let mut servers: BTreeSet<ServerName> = BTreeSet::new();
    for room_id in between.joined_rooms(&user_id).await.map_err(broken)? {
        servers.extend(between.rooms.other_servers(&room_id).await?);
    }
    let keys = published_keys(&*between.store, vec![user_id.clone()]).await?.pop();
    let keys = keys.ok_or_else(|| MatrixError::unknown("The keys cannot be read."))?;
    let now = Told::of(&keys);
    let known = serde_json::from_str(&before.devices).unwrap_or_default();
    let changes = now.changes(&known, &keys);
    let mut last_id = before.last_id;
    let mut edus: Vec<(Option<String>, String)> = Vec::new();
    for changes in in_updates(changes) {
        // Matrix has room for one change in an update: after several at once its servers are to see a gap.
        last_id = last_id.saturating_add(i64::try_from(changes.len()).unwrap_or(i64::MAX));
        let subject = match &changes[..] {
            [change] => Some(format!("device {user_id} {}", change.device_id)),
            _ => None,
        };
        let (user_id, stream_id, prev_ids) = (user_id.clone(), Some(last_id), vec![last_id.saturating_sub(1)]);
        let update = DeviceListUpdate { user_id, stream_id, prev_ids, changes, is_cut: false };
        edus.push((subject, update.to_json()));
    }
    if now.signing_keys.is_some() && now.signing_keys != known.signing_keys {
        let PublishedKeys { master_key, self_signing_key, .. } = keys;
        let update = SigningKeyUpdate { user_id: user_id.clone(), master_key, self_signing_key };
        edus.push((Some(format!("signing keys {user_id}")), update.to_json()));
    }
    let each = |server: &ServerName| {
        let of_server = |(subject, json): &(Option<String>, String)| NewEdu {
            destination: server.clone(),
            subject: subject.clone(),
            json: json.clone(),
        };
        edus.iter().map(of_server).collect::<Vec<_>>()
    };
    let queued = servers.iter().flat_map(each).collect();
    let devices = serde_json::to_string(&now).map_err(|error| MatrixError::unknown(error.to_string()))?;
    let told = ToldDevices { last_id, devices };
    between.store.tell_devices(&user_id, changed, told, queued).await.map_err(broken)?;
    if let Some((_, sender)) = &between.network
        && !edus.is_empty()
    {
        sender.wake_edus(&servers);
    }
    Ok(())
}

impl Told {
    fn of(keys: &PublishedKeys) -> Self {
        let devices = keys.devices.iter().map(|device| {
            let text = format!("{} {:?}", canonical_json::object_to_string(&device.keys), device.display_name);
            (device.device_id.clone(), hash(&text))
        });
        let signing = [&keys.master_key, &keys.self_signing_key];
        let some = signing.iter().any(|key| key.is_some());
        let text = |key: &Option<Object>| key.as_ref().map(canonical_json::object_to_string).unwrap_or_default();
        let signing_keys = some.then(|| hash(&signing.map(text).join(" ")));
        Self { devices: devices.collect(), signing_keys }
    }

    /// The devices that are not as they were.
    fn changes(&self, known: &Self, keys: &PublishedKeys) -> Vec<DeviceChange> {
        let new = keys
            .devices
            .iter()
            .filter(|device| self.devices.get(&device.device_id) != known.devices.get(&device.device_id));
        let new = new.map(|device| DeviceChange {
            device_id: device.device_id.clone(),
            keys: Some(device.keys.clone()),
            display_name: device.display_name.clone(),
        });
        let gone = known.devices.keys().filter(|device_id| !self.devices.contains_key(*device_id));
        let gone = gone.map(|device_id| DeviceChange { device_id: device_id.clone(), keys: None, display_name: None });
        new.chain(gone).collect()
    }
}

/// Changes as they fit into updates.
fn in_updates(changes: Vec<DeviceChange>) -> Vec<Vec<DeviceChange>> {
    let mut updates: Vec<Vec<DeviceChange>> = Vec::new();
    let mut size = 0;
    for change in changes {
        let of_change = change.keys.as_ref().map_or(0, |keys| canonical_json::object_to_string(keys).len());
        size += of_change;
        match updates.last_mut() {
            Some(update) if update.len() < MAX_DEVICE_CHANGES && size <= MAX_UPDATE_BYTES => update.push(change),
            _ => {
                updates.push(vec![change]);
                size = of_change;
            }
        }
    }
    updates
}

fn hash(text: &str) -> String {
    base64::encode(sha256(text))
}
