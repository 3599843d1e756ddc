//! What other servers tell our users, and ask about them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axle_client_api::{ClientApi, MAX_KEY_BYTES, PublishedKeys, is_key_package, published_keys};
use axle_federation::edu::{DirectToDevice, Edu};
use axle_federation::{ClaimedKeys, DeviceList, ListedDevice, QueriedKeys, UserService, WantedKeys};
use axle_protocol::limits::{MAX_EVENT_BYTES, MAX_ID_BYTES};
use axle_protocol::{MatrixError, ServerName, UserId, canonical_json};
use axle_store::{NewToDevice, ReceivedToDevice, WantedKey};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{Between, broken, ephemeral, presence, updates};
use crate::rooms::now_ms;

/// The way from other servers to our users. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Incoming {
    pub(super) between: Arc<Between>,
    pub(super) clients: ClientApi,
    /// Places for receipts that are here before their event.
    pub(super) early: Arc<Semaphore>,
}

impl Incoming {
    pub(crate) fn new(between: Arc<Between>, clients: ClientApi) -> Self {
        Self { between, clients, early: Arc::new(Semaphore::new(ephemeral::MAX_EARLY)) }
    }

    /// A user of this server of this name, if it can be one.
    fn own(&self, user_id: &str) -> Option<UserId> {
        UserId::parse(user_id).ok().filter(|user_id| user_id.server_name() == self.between.me)
    }

    /// The message of an EDU as it is handed out, to those that are ours.
    fn to_device(&self, edu: DirectToDevice) -> ReceivedToDevice {
        let (sender, message_type) = (edu.sender, edu.message_type);
        let message = |message: axle_federation::edu::ToDeviceMessage| {
            let size = canonical_json::object_to_string(&message.content).len();
            let fits = size <= MAX_EVENT_BYTES && message_type.len() <= MAX_ID_BYTES;
            let event = json!({"type": message_type, "sender": sender.as_str(), "content": message.content});
            let json = canonical_json::to_string(&event);
            let device_id = (message.device_id != "*").then_some(message.device_id);
            (fits && message.target.server_name() == self.between.me).then_some(NewToDevice {
                user_id: message.target,
                device_id,
                json,
            })
        };
        let messages = edu.messages.into_iter().filter_map(message).collect();
        ReceivedToDevice { message_id: edu.message_id, messages }
    }

    async fn take_to_device(&self, origin: &ServerName, edus: Vec<DirectToDevice>) -> Result<(), MatrixError> {
        let received: Vec<ReceivedToDevice> = edus.into_iter().map(|edu| self.to_device(edu)).collect();
        let messages = received.iter().flat_map(|received| &received.messages);
        let mut targets: Vec<UserId> = messages.map(|message| message.user_id.clone()).collect();
        if targets.is_empty() {
            return Ok(());
        }
        targets.sort();
        targets.dedup();
        self.between.store.receive_to_device(origin, received).await.map_err(broken)?;
        targets.iter().for_each(|user_id| self.between.rooms.wakes().wake(user_id.as_str()));
        Ok(())
    }

    async fn exists(&self, user_id: &UserId) -> Result<bool, MatrixError> {
        Ok(self.between.store.user(user_id).await.map_err(broken)?.is_some_and(|user| !user.deactivated))
    }
}

#[async_trait]
impl UserService for Incoming {
    async fn edus(&self, origin: &ServerName, edus: Vec<Edu>) -> Result<(), MatrixError> {
        let (mut to_device, mut present) = (Vec::new(), Vec::new());
        for edu in edus {
            match edu {
                Edu::Typing(typing) => ephemeral::typing(self, origin, typing).await?,
                Edu::Receipts(receipts) => ephemeral::receipts(self, origin, receipts).await?,
                Edu::Presence(said) => present.extend(said),
                Edu::DirectToDevice(message) => to_device.push(message),
                Edu::DeviceListUpdate(update) => updates::device_list(&self.between, update).await?,
                Edu::SigningKeyUpdate(update) => updates::signing_keys(&self.between, update).await?,
            }
        }
        presence::take(self, present).await;
        self.take_to_device(origin, to_device).await
    }

    async fn devices(&self, user_id: &UserId) -> Result<DeviceList, MatrixError> {
        let unknown = || MatrixError::not_found("There is no such user here.");
        if user_id.server_name() != self.between.me || !self.exists(user_id).await? {
            return Err(unknown());
        }
        let store = &*self.between.store;
        // Read before the keys: an update that is in the list already does no harm, one that is missing would.
        let stream_id = store.told_devices(user_id).await.map_err(broken)?.last_id;
        let keys = published_keys(store, vec![user_id.clone()]).await?.pop().ok_or_else(unknown)?;
        let devices = keys.devices.into_iter().map(|device| ListedDevice {
            device_id: device.device_id,
            keys: device.keys,
            device_display_name: device.display_name,
        });
        Ok(DeviceList {
            user_id: keys.user_id.to_string(),
            stream_id,
            devices: devices.collect(),
            master_key: keys.master_key,
            self_signing_key: keys.self_signing_key,
        })
    }

    async fn query_keys(&self, wanted: BTreeMap<String, Vec<String>>) -> Result<QueriedKeys, MatrixError> {
        let own: Vec<UserId> = wanted.keys().filter_map(|user_id| self.own(user_id)).collect();
        let mut answer = QueriedKeys::default();
        for keys in published_keys(&*self.between.store, own).await? {
            let PublishedKeys { user_id, devices, master_key, self_signing_key } = keys;
            let user_id = user_id.to_string();
            let asked = wanted.get(&user_id).map_or(&[][..], Vec::as_slice);
            let is_asked = |device_id: &String| asked.is_empty() || asked.contains(device_id);
            let of_user = answer.device_keys.entry(user_id.clone()).or_default();
            for device in devices.into_iter().filter(|device| is_asked(&device.device_id)) {
                let mut keys = device.keys;
                if let Some(name) = device.display_name {
                    keys.insert("unsigned".into(), json!({"device_display_name": name}));
                }
                of_user.insert(device.device_id, keys);
            }
            answer.master_keys.extend(master_key.map(|key| (user_id.clone(), key)));
            answer.self_signing_keys.extend(self_signing_key.map(|key| (user_id, key)));
        }
        Ok(answer)
    }

    async fn claim_keys(&self, wanted: WantedKeys) -> Result<ClaimedKeys, MatrixError> {
        let mut own = Vec::new();
        for (user_id, devices) in wanted {
            let Some(user_id) = self.own(&user_id) else { continue };
            own.extend(devices.into_iter().map(|(device_id, algorithm)| WantedKey {
                user_id: user_id.clone(),
                device_id,
                algorithm,
            }));
        }
        let mut answer = ClaimedKeys::default();
        if own.is_empty() {
            return Ok(answer);
        }
        for claimed in self.between.store.claim_keys(own, now_ms()).await.map_err(broken)? {
            let WantedKey { user_id, device_id, algorithm } = claimed.wanted;
            debug_assert!(claimed.json.len() <= MAX_KEY_BYTES, "no larger key is taken");
            let Ok(key) = canonical_json::parse(claimed.json.as_bytes()) else { continue };
            // Who asks for KeyPackages may be a server that knows the draft's form only.
            let put = if is_key_package(&algorithm) { ClaimedKeys::put_in_both_forms } else { ClaimedKeys::put };
            put(&mut answer, &user_id, &device_id, &algorithm, &claimed.key_id, key);
        }
        Ok(answer)
    }
}
