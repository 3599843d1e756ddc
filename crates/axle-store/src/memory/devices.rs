//! Logged-in devices of local users.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;

use super::MemoryStore;
use super::data::Data;
use crate::{Device, Devices, LastSeen, Standing, StoreError, Tokens};

#[async_trait]
impl Devices for MemoryStore {
    async fn put_device(&self, device: Device) -> Result<bool, StoreError> {
        self.write(move |data| data.put_device(device)).await
    }

    async fn device_by_token(&self, access_hash: &Hash) -> Result<Option<(Device, Standing)>, StoreError> {
        let hash = *access_hash;
        if self.lock().data.next_tokens.values().any(|next| next.access_hash == hash) {
            self.write(move |data| {
                data.go_on(|next| next.access_hash == hash);
                Ok(())
            })
            .await?;
        }
        let locked = self.lock();
        let device = locked.data.devices.values().find(|device| device.tokens.access_hash == hash);
        let standing = |device: &Device| locked.data.users.get(&device.user_id).map(|user| user.standing);
        Ok(device.map(|device| (device.clone(), standing(device).unwrap_or_default())))
    }

    async fn refresh_tokens(&self, refresh_hash: &Hash, next: Tokens) -> Result<bool, StoreError> {
        let hash = Some(*refresh_hash);
        self.write(move |data| {
            data.go_on(|next| next.refresh_hash == hash);
            let place = data.devices.iter().find(|(_, device)| device.tokens.refresh_hash == hash);
            let Some(place) = place.map(|(place, _)| place.clone()) else { return Ok(false) };
            data.next_tokens.insert(place, next);
            Ok(true)
        })
        .await
    }

    async fn devices(&self, user_id: &UserId) -> Result<Vec<Device>, StoreError> {
        Ok(self.lock().data.devices.values().filter(|device| device.user_id == *user_id).cloned().collect())
    }

    async fn name_device(&self, user_id: &UserId, device_id: &str, name: Option<&str>) -> Result<bool, StoreError> {
        let (place, name) = ((user_id.clone(), device_id.to_owned()), name.map(str::to_owned));
        self.write(move |data| {
            let Some(device) = data.devices.get_mut(&place) else { return Ok(false) };
            device.display_name = name;
            data.device_renamed(&place);
            Ok(true)
        })
        .await
    }

    async fn device_seen(&self, user_id: &UserId, device_id: &str, seen: LastSeen) -> Result<(), StoreError> {
        let place = (user_id.clone(), device_id.to_owned());
        self.write(move |data| {
            if let Some(device) = data.devices.get_mut(&place) {
                device.last_seen = Some(seen);
            }
            Ok(())
        })
        .await
    }

    async fn remove_devices(&self, user_id: &UserId, device_id: Option<&str>) -> Result<(), StoreError> {
        let (user_id, device_id) = (user_id.clone(), device_id.map(str::to_owned));
        self.write(move |data| {
            data.remove_devices(&user_id, |device| device_id.as_deref().is_none_or(|device_id| device_id == device));
            if device_id.is_none() {
                data.remove_user_tokens_of(&user_id);
            }
            Ok(())
        })
        .await
    }

    async fn remove_these_devices(&self, user_id: &UserId, device_ids: Vec<String>) -> Result<(), StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| {
            data.remove_devices(&user_id, |device| device_ids.iter().any(|device_id| device_id == device));
            Ok(())
        })
        .await
    }
}

impl Data {
    /// Logs out those devices of a user that this says.
    pub(super) fn remove_devices(&mut self, user_id: &UserId, which: impl Fn(&str) -> bool) {
        let gone = |user: &UserId, device: &str| user == user_id && which(device);
        self.devices.retain(|(user, device), _| !gone(user, device));
        self.next_tokens.retain(|(user, device), _| !gone(user, device));
        self.txns.retain(|key, _| !gone(&key.user_id, &key.device_id));
        self.to_device_txns.retain(|key| !gone(&key.user_id, &key.device_id));
        self.to_device.retain(|(user, device), _| !gone(user, device));
        self.pushers.retain(|pusher| !gone(&pusher.set.user_id, &pusher.set.device_id));
        self.oauth.sessions.retain(|(user, device), _| !gone(user, device));
        self.login_tokens.retain(|_, token| !gone(&token.user_id, &token.device_id));
        self.dehydrated.retain(|user, device| !gone(user, &device.device_id));
        self.remove_keys(user_id, gone);
    }

    pub(super) fn put_device(&mut self, mut device: Device) -> Result<bool, StoreError> {
        if self.users.get(&device.user_id).is_some_and(|user| user.deactivated) {
            return Ok(false);
        }
        let place = (device.user_id.clone(), device.device_id.clone());
        let hash = device.tokens.access_hash;
        if self.devices.iter().any(|(other, known)| *other != place && known.tokens.access_hash == hash) {
            return Err(StoreError::Exists("the access token".into()));
        }
        if let Some(known) = self.devices.get(&place) {
            device.display_name = device.display_name.or_else(|| known.display_name.clone());
            device.created_ts = known.created_ts;
        }
        self.next_tokens.remove(&place);
        self.devices.insert(place, device);
        Ok(true)
    }

    /// Makes the next tokens of a device the current ones, if there are some that this says.
    fn go_on(&mut self, which: impl Fn(&Tokens) -> bool) {
        let place = self.next_tokens.iter().find(|(_, next)| which(next)).map(|(place, _)| place.clone());
        let Some((place, next)) = place.and_then(|place| self.next_tokens.remove_entry(&place)) else { return };
        if let Some(device) = self.devices.get_mut(&place) {
            device.tokens = next;
        }
    }
}
