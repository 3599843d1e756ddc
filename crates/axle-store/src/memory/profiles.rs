//! What others see of local users.

use async_trait::async_trait;
use axle_protocol::UserId;

use super::MemoryStore;
use crate::profiles::FIELD_OVERHEAD_BYTES;
use crate::{MAX_PROFILE_FIELDS_BYTES, Profile, ProfileField, Profiles, StoreError};

#[async_trait]
impl Profiles for MemoryStore {
    async fn profile(&self, user_id: &UserId) -> Result<Profile, StoreError> {
        Ok(self.lock().data.profiles.get(user_id).cloned().unwrap_or_default())
    }

    async fn put_profile(&self, user_id: &UserId, profile: Profile) -> Result<(), StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| {
            data.profiles.insert(user_id, profile);
            Ok(())
        })
        .await
    }

    async fn profile_fields(&self, user_id: &UserId) -> Result<Vec<ProfileField>, StoreError> {
        let inner = self.lock();
        let fields = inner.data.profile_fields.get(user_id).into_iter().flatten();
        Ok(fields.map(|(name, json)| ProfileField { name: name.clone(), json: json.clone() }).collect())
    }

    async fn put_profile_field(&self, user_id: &UserId, field: ProfileField) -> Result<bool, StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| {
            let mut fields = data.profile_fields.get(&user_id).cloned().unwrap_or_default();
            fields.insert(field.name, field.json);
            let bytes = |(name, json): (&String, &String)| name.len() + json.len() + FIELD_OVERHEAD_BYTES;
            let fits = fields.iter().map(bytes).sum::<usize>() <= MAX_PROFILE_FIELDS_BYTES;
            if fits {
                data.profile_fields.insert(user_id, fields);
            }
            Ok(fits)
        })
        .await
    }

    async fn remove_profile_field(&self, user_id: &UserId, name: &str) -> Result<(), StoreError> {
        let (user_id, name) = (user_id.clone(), name.to_owned());
        self.write(move |data| {
            if let Some(fields) = data.profile_fields.get_mut(&user_id) {
                fields.remove(&name);
            }
            Ok(())
        })
        .await
    }
}
