//! Messages from device to device.

use async_trait::async_trait;
use axle_protocol::{ServerName, UserId};

use super::MemoryStore;
use super::data::Data;
use crate::{
    ClientTxnKey, MAX_RECEIVED_TO_DEVICE, NewEdu, NewToDevice, ReceivedToDevice, StoreError, ToDevice, ToDeviceQueues,
};

/// Ids of messages that are remembered of each origin.
const KEPT_IDS: usize = 1_000;

#[async_trait]
impl ToDeviceQueues for MemoryStore {
    async fn send_to_device(
        &self,
        txn: ClientTxnKey,
        messages: Vec<NewToDevice>,
        edus: Vec<NewEdu>,
    ) -> Result<bool, StoreError> {
        self.write(move |data| {
            if !data.to_device_txns.insert(txn) {
                return Ok(false);
            }
            messages.into_iter().for_each(|message| data.queue_to_device(message, usize::MAX));
            data.queue_edus(edus);
            Ok(true)
        })
        .await
    }

    async fn receive_to_device(&self, origin: &ServerName, received: Vec<ReceivedToDevice>) -> Result<(), StoreError> {
        let origin = origin.clone();
        self.write(move |data| {
            for ReceivedToDevice { message_id, messages } in received {
                let seen = data.to_device_seen.entry(origin.clone()).or_default();
                if message_id.as_ref().is_some_and(|message_id| seen.contains(message_id)) {
                    continue;
                }
                seen.extend(message_id);
                seen.drain(..seen.len().saturating_sub(KEPT_IDS));
                messages.into_iter().for_each(|message| data.queue_to_device(message, MAX_RECEIVED_TO_DEVICE));
            }
            Ok(())
        })
        .await
    }

    async fn to_device(
        &self,
        user_id: &UserId,
        device_id: &str,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<ToDevice>, StoreError> {
        let inner = self.lock();
        let queue = inner.data.to_device.get(&(user_id.clone(), device_id.to_owned()));
        let ready = queue.into_iter().flatten().filter(|message| after < message.stream && message.stream <= until);
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

impl Data {
    fn queue_to_device(&mut self, message: NewToDevice, most: usize) {
        let NewToDevice { user_id, device_id, json } = message;
        let stream = self.next_stream();
        let wanted = |(user, device): &&(UserId, String)| {
            *user == user_id && device_id.as_ref().is_none_or(|device_id| device_id == device)
        };
        let devices: Vec<_> = self.devices.keys().filter(wanted).cloned().collect();
        for device in devices {
            let queue = self.to_device.entry(device).or_default();
            if queue.len() < most {
                queue.push(ToDevice { stream, json: json.clone() });
            }
        }
    }
}
