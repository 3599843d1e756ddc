//! The door between the endpoints of this crate and the users of the server: their devices, and what EDUs are for them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use axle_protocol::{MatrixError, ServerName, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::edu::{Edu, Object};

/// All that a user publishes: the answer to `GET /user/devices/:userId`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceList {
    /// Whose.
    pub user_id: String,
    /// The id of the last `m.device_list_update` that is in it.
    pub stream_id: i64,
    /// Their devices that have keys.
    pub devices: Vec<ListedDevice>,
    /// Their master key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_key: Option<Object>,
    /// Their key that signs devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signing_key: Option<Object>,
}

/// A device in a [`DeviceList`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedDevice {
    /// Its id.
    pub device_id: String,
    /// Its identity keys.
    pub keys: Object,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_display_name: Option<String>,
}

/// The answer to `POST /user/keys/query`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueriedKeys {
    /// Identity keys by user and device.
    pub device_keys: BTreeMap<String, BTreeMap<String, Object>>,
    /// Master keys by user.
    #[serde(default)]
    pub master_keys: BTreeMap<String, Object>,
    /// Keys that sign devices, by user.
    #[serde(default)]
    pub self_signing_keys: BTreeMap<String, Object>,
}

/// What keys are to be claimed: algorithm by user and device.
pub type WantedKeys = BTreeMap<String, BTreeMap<String, String>>;

/// The answer to `POST /user/keys/claim`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClaimedKeys {
    /// Keys by user, device and name of the key.
    pub one_time_keys: BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>>,
}

/// What the endpoints need of the server's users. `origin` is always the authenticated sender of the request.
#[async_trait]
pub trait UserService: Send + Sync + 'static {
    /// Takes EDUs of a transaction. Returns when those that are to be kept are durable.
    async fn edus(&self, origin: &ServerName, edus: Vec<Edu>) -> Result<(), MatrixError>;

    /// `GET /user/devices/:userId`: 404 `M_NOT_FOUND` if there is no such user here.
    async fn devices(&self, user_id: &UserId) -> Result<DeviceList, MatrixError>;

    /// `POST /user/keys/query`: of these users, these devices, or all if there are none. Users who are not of this
    /// server are left out.
    async fn query_keys(&self, wanted: BTreeMap<String, Vec<String>>) -> Result<QueriedKeys, MatrixError>;

    /// `POST /user/keys/claim`. What is not here is left out.
    async fn claim_keys(&self, wanted: WantedKeys) -> Result<ClaimedKeys, MatrixError>;
}
