//! Dehydrated devices.

use async_trait::async_trait;
use axle_protocol::UserId;

use super::MemoryStore;
use crate::{DehydratedDevice, DehydratedDevices, Device, KeyUpload, StoreError};

#[async_trait]
impl DehydratedDevices for MemoryStore {
    async fn put_dehydrated_device(&self, device: Device, data: &str, keys: KeyUpload) -> Result<bool, StoreError> {
        let data = data.to_owned();
        self.write(move |all| {
            let user_id = device.user_id.clone();
            let device_id = device.device_id.clone();
            let known = all.dehydrated.get(&user_id).map(|known| known.device_id.clone());
            let is_taken = all.devices.contains_key(&(user_id.clone(), device_id.clone()));
            if is_taken && known.as_ref() != Some(&device_id) {
                return Err(StoreError::Exists(device_id));
            }
            if let Some(known) = known {
                all.remove_devices(&user_id, |device_id| device_id == known);
            }
            if !all.put_device(device)? {
                return Ok(false);
            }
            all.dehydrated.insert(user_id, DehydratedDevice { device_id, data });
            all.upload_keys(keys)?;
            Ok(true)
        })
        .await
    }

    async fn dehydrated_device(&self, user_id: &UserId) -> Result<Option<DehydratedDevice>, StoreError> {
        Ok(self.lock().data.dehydrated.get(user_id).cloned())
    }
}
