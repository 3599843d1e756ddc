//! Lists of devices that other servers sent: checked, bounded, and written down.

use std::collections::BTreeMap;

use axle_client_api::{MAX_KEY_BYTES, cross_signing_key, mls_device};
use axle_federation::edu::{DeviceChange, Object};
use axle_federation::{DeviceList, ListedDevice, QueriedKeys};
use axle_mls::Credential;
use axle_protocol::{UserId, canonical_json};
use axle_store::{KeyUsage, PublishedDevice, RemoteDevices, UserKeys};
use serde_json::Value;

/// Devices of a user that are believed in.
const MAX_DEVICES: usize = 500;
/// Characters of a device's name that are kept.
const MAX_NAME_CHARS: usize = 256;
/// The largest list that is written down; others are asked for anew each time.
const MAX_LIST_BYTES: usize = 256 * 1024;

/// What a user of another server publishes. Every key in it says that it is theirs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct List {
    user_id: UserId,
    devices: BTreeMap<String, ListedDevice>,
    master_key: Option<Object>,
    self_signing_key: Option<Object>,
}

/// The credentials in the devices that a user of another server publishes.
pub(crate) fn credentials(devices: &RemoteDevices) -> Vec<Credential> {
    let list = List::written(devices);
    list.iter()
        .flat_map(|list| list.devices.values())
        .filter_map(|device| Credential::published_in(&device.keys))
        .collect()
}

impl List {
    /// That of somebody of whom nothing is known.
    pub(super) fn empty(user_id: &UserId) -> Self {
        Self { user_id: user_id.clone(), devices: BTreeMap::new(), master_key: None, self_signing_key: None }
    }

    /// The ids of its devices.
    pub(super) fn device_ids(&self) -> impl Iterator<Item = &String> {
        self.devices.keys()
    }

    /// The list with these changes.
    pub(super) fn changed(mut self, changes: Vec<DeviceChange>) -> Self {
        for DeviceChange { device_id, keys, display_name } in changes {
            self.put_device(device_id, keys, display_name);
        }
        self
    }

    /// The list of a user in an answer; what is not theirs, or not valid, is left out. `None`: the answer is about somebody
    /// else.
    pub(super) fn read(list: DeviceList, user_id: &UserId) -> Option<Self> {
        Self::read_if(is_valid, list, user_id)
    }

    fn read_if(condition: fn(&Object) -> bool, list: DeviceList, user_id: &UserId) -> Option<Self> {
        if list.user_id != user_id.as_str() {
            return None;
        }
        let mut read = Self::empty(user_id);
        for ListedDevice { device_id, keys, device_display_name } in list.devices {
            read.put_device_if(condition, device_id, Some(keys), device_display_name);
        }
        read.put_signing_keys(list.master_key, list.self_signing_key);
        Some(read)
    }

    /// Takes what an answer to a query says of a user.
    pub(super) fn take(answer: &mut QueriedKeys, user_id: &UserId) -> Self {
        let id = user_id.as_str();
        let devices = answer.device_keys.remove(id).unwrap_or_default().into_iter().map(|(device_id, keys)| {
            let name = keys.get("unsigned").and_then(|unsigned| unsigned.get("device_display_name"));
            let device_display_name = name.and_then(Value::as_str).map(str::to_owned);
            ListedDevice { device_id, keys, device_display_name }
        });
        let mut read = Self::empty(user_id);
        for ListedDevice { device_id, keys, device_display_name } in devices {
            read.put_device(device_id, Some(keys), device_display_name);
        }
        read.put_signing_keys(answer.master_keys.remove(id), answer.self_signing_keys.remove(id));
        read
    }

    /// Sets or removes a device. One of MLS that is not valid is none: it must not be in groups.
    fn put_device(&mut self, device_id: String, keys: Option<Object>, name: Option<String>) {
        self.put_device_if(is_valid, device_id, keys, name);
    }

    /// Sets a device that holds to all this and to the condition; removes it otherwise.
    fn put_device_if(
        &mut self,
        condition: fn(&Object) -> bool,
        device_id: String,
        keys: Option<Object>,
        name: Option<String>,
    ) {
        self.devices.remove(&device_id);
        let Some(mut keys) = keys else { return };
        keys.remove("unsigned");
        let says = |field: &str, value: &str| keys.get(field).and_then(Value::as_str) == Some(value);
        let is_theirs = says("user_id", self.user_id.as_str()) && says("device_id", &device_id);
        if is_theirs
            && self.devices.len() < MAX_DEVICES
            && canonical_json::object_to_string(&keys).len() <= MAX_KEY_BYTES
            && condition(&keys)
        {
            let device_display_name = name.map(|name| name.chars().take(MAX_NAME_CHARS).collect());
            self.devices.insert(device_id.clone(), ListedDevice { device_id, keys, device_display_name });
        }
    }

    /// Sets those keys that are given.
    pub(super) fn put_signing_keys(&mut self, master_key: Option<Object>, self_signing_key: Option<Object>) {
        let checked = |usage, key: Object| {
            let fits = canonical_json::object_to_string(&key).len() <= MAX_KEY_BYTES;
            (fits && cross_signing_key(&self.user_id, usage, &key).is_ok()).then_some(key)
        };
        if let Some(key) = master_key.and_then(|key| checked(KeyUsage::Master, key)) {
            self.master_key = Some(key);
        }
        if let Some(key) = self_signing_key.and_then(|key| checked(KeyUsage::SelfSigning, key)) {
            self.self_signing_key = Some(key);
        }
    }

    /// As it is written down; `None`: it is too large for that.
    pub(super) fn write(&self, stream_id: Option<i64>) -> Option<RemoteDevices> {
        let list = DeviceList {
            user_id: self.user_id.to_string(),
            stream_id: stream_id.unwrap_or_default(),
            devices: self.devices.values().cloned().collect(),
            master_key: self.master_key.clone(),
            self_signing_key: self.self_signing_key.clone(),
        };
        let json = serde_json::to_string(&list).ok().filter(|json| json.len() <= MAX_LIST_BYTES)?;
        Some(RemoteDevices { user_id: self.user_id.clone(), stream_id, json })
    }

    /// What was written down.
    pub(super) fn written(devices: &RemoteDevices) -> Option<Self> {
        // It was checked before it was written.
        Self::read_if(|_| true, serde_json::from_str(&devices.json).ok()?, &devices.user_id)
    }

    /// As the keys of a local user are.
    pub(super) fn into_user_keys(self) -> UserKeys {
        let Self { user_id, devices, master_key, self_signing_key } = self;
        let devices = devices.into_values().map(|device| PublishedDevice {
            device_id: device.device_id,
            json: canonical_json::object_to_string(&device.keys),
            display_name: device.device_display_name,
        });
        let devices = devices.collect();
        let keys = [(KeyUsage::Master, master_key), (KeyUsage::SelfSigning, self_signing_key)];
        let keys = keys.into_iter().filter_map(|(usage, key)| cross_signing_key(&user_id, usage, &key?).ok());
        let cross_signing = keys.collect();
        UserKeys { user_id, devices, cross_signing, signatures: Vec::new() }
    }
}

fn is_valid(keys: &Object) -> bool {
    mls_device(keys).map_err(|error| tracing::info!(%error, "another server's device is not valid")).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bob() -> UserId {
        UserId::parse("@bob:b.test").unwrap()
    }

    fn keys(user: &str, device: &str) -> Object {
        json!({"user_id": user, "device_id": device, "keys": {}}).as_object().unwrap().clone()
    }

    fn listed(device_id: &str, keys: Object) -> ListedDevice {
        ListedDevice { device_id: device_id.into(), keys, device_display_name: Some("n".repeat(9_000)) }
    }

    fn list(devices: Vec<ListedDevice>) -> DeviceList {
        let user_id = "@bob:b.test".into();
        DeviceList { user_id, stream_id: 7, devices, master_key: None, self_signing_key: None }
    }

    #[test]
    fn only_what_is_theirs_and_not_too_much() {
        let mut large = keys("@bob:b.test", "LARGE");
        large.insert("x".into(), json!("x".repeat(MAX_KEY_BYTES)));
        let devices = vec![
            listed("ONE", keys("@bob:b.test", "ONE")),
            listed("TWO", keys("@eve:b.test", "TWO")),
            listed("THREE", keys("@bob:b.test", "ONE")),
            listed("LARGE", large),
        ];
        let read = List::read(list(devices.clone()), &bob()).unwrap();
        assert_eq!(read.devices.keys().collect::<Vec<_>>(), ["ONE"]);
        assert_eq!(read.devices["ONE"].device_display_name.as_ref().map(String::len), Some(MAX_NAME_CHARS));
        assert_eq!(List::written(&read.write(Some(7)).unwrap()), Some(read));
        assert_eq!(List::read(list(devices), &UserId::parse("@eve:b.test").unwrap()), None);
        let many = (0..MAX_DEVICES + 9).map(|n| listed(&n.to_string(), keys("@bob:b.test", &n.to_string())));
        assert_eq!(List::read(list(many.collect()), &bob()).unwrap().devices.len(), MAX_DEVICES);
    }

    #[test]
    fn cross_signing_keys_have_to_be_what_they_say() {
        let id = axle_protocol::KeyId::parse("ed25519:1").unwrap();
        let key = axle_protocol::SigningKey::from_seed(id, &[7; 32]).verify_key().to_base64();
        let key = |usage: &str, user: &str| {
            let id = format!("ed25519:{key}");
            json!({"user_id": user, "usage": [usage], "keys": {id: key}}).as_object().cloned()
        };
        let mut read = List::read(list(vec![]), &bob()).unwrap();
        read.put_signing_keys(key("master", "@eve:b.test"), key("master", "@bob:b.test"));
        assert_eq!((&read.master_key, &read.self_signing_key), (&None, &None));
        read.put_signing_keys(key("master", "@bob:b.test"), key("self_signing", "@bob:b.test"));
        read.put_signing_keys(None, None);
        assert!(read.master_key.is_some() && read.self_signing_key.is_some());
    }
}
