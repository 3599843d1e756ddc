//! What users of this server publish, as other servers see it.

use axle_protocol::{MatrixError, UserId};
use axle_store::{KeyUsage, Store};

use crate::error::{ApiError, ApiResult};
use crate::key_object::{Object, seen_by};

/// All that a user publishes, with the signatures that are their own.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedKeys {
    /// Who.
    pub user_id: UserId,
    /// Their devices that have keys.
    pub devices: Vec<PublishedDeviceKeys>,
    /// Their master key.
    pub master_key: Option<Object>,
    /// Their key that signs devices.
    pub self_signing_key: Option<Object>,
}

/// A device that has keys.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedDeviceKeys {
    /// Its id.
    pub device_id: String,
    /// Its identity keys.
    pub keys: Object,
    /// Its name.
    pub display_name: Option<String>,
}

/// What these users publish. Who is not there publishes nothing.
pub async fn published_keys(store: &dyn Store, users: Vec<UserId>) -> Result<Vec<PublishedKeys>, MatrixError> {
    read(store, users).await.map_err(|error| match error {
        ApiError::Matrix(error) => error,
        _ => MatrixError::unknown("The keys cannot be read."),
    })
}

async fn read(store: &dyn Store, users: Vec<UserId>) -> ApiResult<Vec<PublishedKeys>> {
    // Whoever views: below only what owners signed is let through.
    let Some(viewer) = users.first().cloned() else { return Ok(Vec::new()) };
    let mut found = Vec::with_capacity(users.len());
    for keys in store.user_keys(users, &viewer).await? {
        let user_id = keys.user_id;
        let seen = |target: &str, json: &str| seen_by(&user_id, &user_id, target, json, &keys.signatures);
        let (mut devices, mut master_key, mut self_signing_key) = (Vec::new(), None, None);
        for device in keys.devices {
            let object = seen(&device.device_id, &device.json)?;
            let (device_id, display_name) = (device.device_id, device.display_name);
            devices.push(PublishedDeviceKeys { device_id, keys: object, display_name });
        }
        for key in keys.cross_signing {
            match key.usage {
                KeyUsage::Master => master_key = Some(seen(&key.public_key, &key.json)?),
                KeyUsage::SelfSigning => self_signing_key = Some(seen(&key.public_key, &key.json)?),
                KeyUsage::UserSigning => {}
            }
        }
        found.push(PublishedKeys { user_id, devices, master_key, self_signing_key });
    }
    Ok(found)
}
