//! Logged-in devices of local users, and the tokens by which they are known.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;

use crate::{Standing, StoreError};

/// A logged-in device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Whose.
    pub user_id: UserId,
    /// Its id.
    pub device_id: String,
    /// What it is known by.
    pub tokens: Tokens,
    /// Shown to people.
    pub display_name: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub created_ts: i64,
    /// When it was last seen; may be some minutes behind.
    pub last_seen: Option<LastSeen>,
}

/// The tokens of a device: SHA-256 of each. Tokens themselves are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Of the access token.
    pub access_hash: Hash,
    /// When the access token ends, in milliseconds since the Unix epoch; `None`: never.
    pub expires_ts: Option<i64>,
    /// Of the refresh token, by which the device gets its next tokens.
    pub refresh_hash: Option<Hash>,
}

impl Tokens {
    /// An access token that does not end.
    pub fn lasting(access_hash: Hash) -> Self {
        Self { access_hash, expires_ts: None, refresh_hash: None }
    }
}

/// When and where a device was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSeen {
    /// Milliseconds since the Unix epoch.
    pub ts: i64,
    /// Its IP address, if it was known.
    pub ip: Option<String>,
}

/// Logged-in devices.
#[async_trait]
pub trait Devices {
    /// Creates a device, or replaces the tokens of one that is there; its name too, if there is a new one. `false`: the
    /// account is deactivated. [`StoreError::Exists`]: another device has the access token.
    async fn put_device(&self, device: Device) -> Result<bool, StoreError>;

    /// The device that an access token belongs to, and what its account can be used for. New tokens that are
    /// used for the first time end those before them.
    async fn device_by_token(&self, access_hash: &Hash) -> Result<Option<(Device, Standing)>, StoreError>;

    /// Gives the device that a refresh token belongs to its next tokens. Those before are good until these are used,
    /// so that a client that never learns of these can ask again. `false`: the refresh token is not good.
    async fn refresh_tokens(&self, refresh_hash: &Hash, next: Tokens) -> Result<bool, StoreError>;

    /// A user's devices, by id.
    async fn devices(&self, user_id: &UserId) -> Result<Vec<Device>, StoreError>;

    /// Sets or removes the name of a device; `false`: there is no such device. Who sees the keys of a device sees its
    /// name: it is news to them.
    async fn name_device(&self, user_id: &UserId, device_id: &str, name: Option<&str>) -> Result<bool, StoreError>;

    /// Notes when a device was seen, if it is there.
    async fn device_seen(&self, user_id: &UserId, device_id: &str, seen: LastSeen) -> Result<(), StoreError>;

    /// Logs a device out; all of the user's if `device_id` is `None`. Its keys and the messages for it go with it.
    async fn remove_devices(&self, user_id: &UserId, device_id: Option<&str>) -> Result<(), StoreError>;

    /// Logs these devices out, all at once.
    async fn remove_these_devices(&self, user_id: &UserId, device_ids: Vec<String>) -> Result<(), StoreError>;
}
