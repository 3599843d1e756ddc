//! Dehydrated devices: a device of a user's that is kept here, encrypted, so that messages reach the user while no
//! other device is logged in (Matrix's proposal 3814).

use async_trait::async_trait;
use axle_protocol::UserId;

use crate::{Device, KeyUpload, StoreError};

/// A dehydrated device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DehydratedDevice {
    /// Its id.
    pub device_id: String,
    /// What brings it to life, a JSON object that only its user can read.
    pub data: String,
}

/// Dehydrated devices of local users, one each.
#[async_trait]
pub trait DehydratedDevices {
    /// Creates a device with its keys, in place of the one that was there, which is removed as if it was logged out.
    /// `false`: the account is deactivated. [`StoreError::Exists`]: the id is another device's. Nothing was written then.
    async fn put_dehydrated_device(&self, device: Device, data: &str, keys: KeyUpload) -> Result<bool, StoreError>;

    /// The dehydrated device of a user; gone when its device is removed.
    async fn dehydrated_device(&self, user_id: &UserId) -> Result<Option<DehydratedDevice>, StoreError>;
}
