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
///
/// Matrix names a key by algorithm and id, the draft by its algorithm alone; the requests are the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClaimedKeys {
    /// Keys by user, device and name of the key.
    pub one_time_keys: BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>>,
}

impl ClaimedKeys {
    /// Adds a key for the readers of Matrix's form.
    pub fn put(&mut self, user_id: &UserId, device_id: &str, algorithm: &str, key_id: &str, key: Value) {
        self.of_device(user_id, device_id).insert(format!("{algorithm}:{key_id}"), key);
    }

    /// Adds a key for the readers of either form.
    pub fn put_in_both_forms(&mut self, user_id: &UserId, device_id: &str, algorithm: &str, key_id: &str, key: Value) {
        self.of_device(user_id, device_id).insert(algorithm.to_owned(), key.clone());
        self.put(user_id, device_id, algorithm, key_id, key);
    }

    /// Takes the key of an algorithm, in either form, with its id where there is one.
    pub fn take(&mut self, user_id: &UserId, device_id: &str, algorithm: &str) -> Option<(Option<String>, Value)> {
        let keys = self.one_time_keys.get_mut(user_id.as_str())?.get_mut(device_id)?;
        let name = keys.keys().find(|name| id_in(name, algorithm).is_some()).cloned();
        match name {
            Some(name) => Some((id_in(&name, algorithm).map(str::to_owned), keys.remove(&name)?)),
            None => Some((None, keys.remove(algorithm)?)),
        }
    }

    fn of_device(&mut self, user_id: &UserId, device_id: &str) -> &mut BTreeMap<String, Value> {
        self.one_time_keys.entry(user_id.to_string()).or_default().entry(device_id.to_owned()).or_default()
    }
}

/// The id in the name of a key of this algorithm.
fn id_in<'a>(name: &'a str, algorithm: &str) -> Option<&'a str> {
    name.strip_prefix(algorithm)?.strip_prefix(':').filter(|id| !id.is_empty())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claimed_keys_in_both_forms() {
        let alice = UserId::parse("@alice:a.test").unwrap();
        let mut claimed = ClaimedKeys::default();
        claimed.put(&alice, "ONE", "curve", "1", json!({"key": "x"}));
        claimed.put_in_both_forms(&alice, "ONE", "mls", "2", json!("y"));
        let expected = json!({"curve:1": {"key": "x"}, "mls": "y", "mls:2": "y"});
        assert_eq!(json!(claimed.one_time_keys), json!({"@alice:a.test": {"ONE": expected}}));
        let mut drafts = ClaimedKeys::default();
        drafts.of_device(&alice, "ONE").insert("mls".into(), json!("y"));
        for (answer, id) in [(&mut claimed, Some("2".to_owned())), (&mut drafts, None)] {
            assert_eq!(answer.take(&alice, "TWO", "mls"), None);
            assert_eq!(answer.take(&alice, "ONE", "ml"), None);
            assert_eq!(answer.take(&alice, "ONE", "mls"), Some((id, json!("y"))));
        }
    }
}
