//! Keys of other servers' devices that are given out.

use std::collections::BTreeMap;

use axle_client_api::{MAX_KEY_BYTES, is_key_package, key_package, mls_device};
use axle_federation::WantedKeys;
use axle_federation::client::ClientError;
use axle_mls::DeviceInfo;
use axle_protocol::{MatrixError, ServerName, UserId, canonical_json};
use axle_store::{ClaimedKey, WantedKey};
use serde_json::Value;

use super::remote_keys::{Wanted, query};
use super::{Between, off_thread};
use crate::rooms::now_ms;

/// Devices of MLS by user and id.
type Devices = BTreeMap<(UserId, String), DeviceInfo>;

/// Claims keys of devices of a server's users. Only what was asked for is taken; KeyPackages only if they are good ones of
/// the devices that are published. Those of devices that are not are not asked for: they would be lost.
pub(super) async fn claim(
    between: &Between,
    server: &ServerName,
    viewer: &UserId,
    mut wanted: Vec<WantedKey>,
) -> Result<Vec<ClaimedKey>, MatrixError> {
    let devices = devices(between, server, viewer, &wanted).await?;
    wanted.retain(|wanted| {
        let device = (wanted.user_id.clone(), wanted.device_id.clone());
        !is_key_package(&wanted.algorithm) || devices.contains_key(&device)
    });
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut asked = WantedKeys::new();
    for WantedKey { user_id, device_id, algorithm } in &wanted {
        asked.entry(user_id.to_string()).or_default().insert(device_id.clone(), algorithm.clone());
    }
    let client = between.client(server).await?;
    let mut answer = client.claim_user_keys(server, &asked).await.map_err(ClientError::into_matrix_error)?;
    off_thread(move || {
        let taken = wanted.into_iter().filter_map(|wanted| {
            let (key_id, key) = answer.take(&wanted.user_id, &wanted.device_id, &wanted.algorithm)?;
            claimed(wanted, key_id, &key, &devices)
        });
        taken.collect()
    })
    .await
}

/// The devices among these of which KeyPackages are wanted, as far as they are valid.
async fn devices(
    between: &Between,
    server: &ServerName,
    viewer: &UserId,
    wanted: &[WantedKey],
) -> Result<Devices, MatrixError> {
    let mut of = Wanted::new();
    for wanted in wanted.iter().filter(|wanted| is_key_package(&wanted.algorithm)) {
        of.entry(wanted.user_id.clone()).or_default().push(wanted.device_id.clone());
    }
    if of.is_empty() {
        return Ok(Devices::new());
    }
    let published = query(between, server, viewer, of.clone()).await?;
    off_thread(move || {
        let mut found = Devices::new();
        for keys in published {
            let named = of.get(&keys.user_id).map_or(&[][..], Vec::as_slice);
            for device in keys.devices.into_iter().filter(|device| named.contains(&device.device_id)) {
                let keys_of_device = canonical_json::parse_object(device.json.as_bytes()).ok();
                if let Some(info) = keys_of_device.and_then(|keys| mls_device(&keys).ok().flatten()) {
                    found.insert((keys.user_id.clone(), device.device_id), info);
                }
            }
        }
        found
    })
    .await
}

/// A key as it is handed on, if it may be.
fn claimed(wanted: WantedKey, key_id: Option<String>, key: &Value, devices: &Devices) -> Option<ClaimedKey> {
    let json = canonical_json::to_string(key);
    if !(key.is_object() || key.is_string()) || json.len() > MAX_KEY_BYTES {
        return None;
    }
    if !is_key_package(&wanted.algorithm) {
        return Some(ClaimedKey { wanted, key_id: key_id?, json });
    }
    let device = devices.get(&(wanted.user_id.clone(), wanted.device_id.clone()))?;
    match key_package(&wanted.algorithm, key, device, now_ms()) {
        Ok(key_package) => {
            // The draft's form has no id: it is made from the KeyPackage, as its device should have made it.
            let own = key_package.key_id();
            let made = own.rsplit_once(':').map(|(_, version)| version.to_owned());
            Some(ClaimedKey { wanted, key_id: key_id.or(made)?, json })
        }
        Err(error) => {
            tracing::info!(user_id = %wanted.user_id, device_id = wanted.device_id, %error, "a KeyPackage is not usable");
            None
        }
    }
}
