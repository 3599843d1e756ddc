//! Messages from device to device.

use async_trait::async_trait;
use axle_protocol::UserId;

use super::MemoryStore;
use crate::{ClientTxnKey, NewToDevice, StoreError, ToDevice, ToDeviceQueues};

#[async_trait]
impl ToDeviceQueues for MemoryStore {
    async fn send_to_device(&self, txn: ClientTxnKey, messages: Vec<NewToDevice>) -> Result<bool, StoreError> {
        self.write(move |data| {
            if !data.to_device_txns.insert(txn) {
                return Ok(false);
            }
            for NewToDevice { user_id, device_id, json } in messages {
                let stream = data.next_stream();
                let wanted = |(user, device): &&(UserId, String)| {
                    *user == user_id && device_id.as_ref().is_none_or(|device_id| device_id == device)
                };
                let devices: Vec<_> = data.devices.keys().filter(wanted).cloned().collect();
                for device in devices {
                    data.to_device.entry(device).or_default().push(ToDevice { stream, json: json.clone() });
                }
            }
            Ok(true)
        })
        .await
    }

    async fn to_device(
        &self,
        user_id: &UserId,
        device_id: &str,
        until: i64,
        limit: usize,
    ) -> Result<Vec<ToDevice>, StoreError> {
        let inner = self.lock();
        let queue = inner.data.to_device.get(&(user_id.clone(), device_id.to_owned()));
        let ready = queue.into_iter().flatten().filter(|message| message.stream <= until);
        Ok(ready.take(limit).cloned().collect())
    }

    async fn remove_to_device(&self, user_id: &UserId, device_id: &str, until: i64) -> Result<(), StoreError> {
        let device = (user_id.clone(), device_id.to_owned());
        self.write(move |data| {
            if let Some(queue) = data.to_device.get_mut(&device) {
                queue.retain(|message| message.stream > until);
            }
            Ok(())
        })
        .await
    }
}
