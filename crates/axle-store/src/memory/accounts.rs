//! Local users.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use axle_protocol::{EventId, UserId};

use super::MemoryStore;
use super::data::Data;
use crate::{Accounts, ClientTxnKey, ClientTxnState, ErasedUsers, RegistrationToken, StoreError, User};

#[async_trait]
impl Accounts for MemoryStore {
    async fn create_user(&self, user: User, token: Option<&str>) -> Result<bool, StoreError> {
        let token = token.map(str::to_owned);
        self.write(move |data| data.create_user(user, token.as_deref())).await
    }

    async fn user(&self, user_id: &UserId) -> Result<Option<User>, StoreError> {
        Ok(self.lock().data.users.get(user_id).cloned())
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        Ok(self.lock().data.users.values().cloned().collect())
    }

    async fn set_password(&self, user_id: &UserId, password_hash: &str) -> Result<bool, StoreError> {
        let (user_id, password_hash) = (user_id.clone(), password_hash.to_owned());
        self.write(move |data| {
            let user = data.users.get_mut(&user_id);
            Ok(user.map(|user| user.password_hash = Some(password_hash)).is_some())
        })
        .await
    }

    async fn change_password(&self, user_id: &UserId, password_hash: &str, keep: &str) -> Result<bool, StoreError> {
        let (user_id, password_hash, keep) = (user_id.clone(), password_hash.to_owned(), keep.to_owned());
        self.write(move |data| {
            let Some(user) = data.users.get_mut(&user_id) else { return Ok(false) };
            user.password_hash = Some(password_hash);
            data.remove_devices(&user_id, |device_id| device_id != keep);
            data.remove_user_tokens_of(&user_id);
            Ok(true)
        })
        .await
    }

    async fn deactivate_user(&self, user_id: &UserId, erase: bool) -> Result<bool, StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| {
            let Some(user) = data.users.get_mut(&user_id) else { return Ok(false) };
            if erase {
                user.erased = true;
                Arc::make_mut(&mut data.erased).insert(user_id.clone());
            }
            if user.deactivated {
                return Ok(false);
            }
            (user.deactivated, user.password_hash) = (true, None);
            data.remove_devices(&user_id, |_| true);
            data.remove_user_tokens_of(&user_id);
            data.user_tokens.retain(|(_, token)| token.user_id != user_id);
            data.account_data.remove(&user_id);
            data.profiles.remove(&user_id);
            data.profile_fields.remove(&user_id);
            data.remove_cross_signing_keys(&user_id);
            data.key_backups.remove(&user_id);
            data.forget_delayed(&user_id);
            data.departing.insert(user_id);
            Ok(true)
        })
        .await
    }

    fn erased_users(&self) -> ErasedUsers {
        self.lock().data.erased.clone()
    }

    async fn departing(&self) -> Result<Vec<UserId>, StoreError> {
        Ok(self.lock().data.departing.iter().cloned().collect())
    }

    async fn departed(&self, user_id: &UserId) -> Result<(), StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| {
            data.departing.remove(&user_id);
            Ok(())
        })
        .await
    }

    async fn put_registration_token(&self, token: RegistrationToken) -> Result<(), StoreError> {
        self.write(move |data| {
            data.tokens.insert(token.token.clone(), token);
            Ok(())
        })
        .await
    }

    async fn registration_tokens(&self) -> Result<Vec<RegistrationToken>, StoreError> {
        Ok(self.lock().data.tokens.values().cloned().collect())
    }

    async fn client_txn(&self, key: &ClientTxnKey) -> Result<Option<ClientTxnState>, StoreError> {
        Ok(self.lock().data.txns.get(key).cloned())
    }

    async fn device_txn_ids(
        &self,
        user_id: &UserId,
        device_id: &str,
        event_ids: &[EventId],
    ) -> Result<Vec<(EventId, String)>, StoreError> {
        let inner = self.lock();
        let of_device = inner.data.txns.iter().filter(|(key, _)| key.user_id == *user_id && key.device_id == device_id);
        let made = of_device.filter_map(|(key, state)| match state {
            ClientTxnState::Done(event_id) if event_ids.contains(event_id) => {
                Some((event_id.clone(), key.txn_id.clone()))
            }
            _ => None,
        });
        Ok(made.collect())
    }

    async fn put_filter(&self, user_id: &UserId, filter: &str) -> Result<String, StoreError> {
        let filter = (user_id.clone(), filter.to_owned());
        self.write(move |data| {
            let index = data.filters.iter().position(|known| *known == filter).unwrap_or(data.filters.len());
            if index == data.filters.len() {
                data.filters.push(filter);
            }
            Ok(index.to_string())
        })
        .await
    }

    async fn filter(&self, user_id: &UserId, filter_id: &str) -> Result<Option<String>, StoreError> {
        let Ok(index) = filter_id.parse::<usize>() else { return Ok(None) };
        let inner = self.lock();
        let found = inner.data.filters.get(index).filter(|(owner, _)| owner == user_id);
        Ok(found.map(|(_, filter)| filter.clone()))
    }
}

impl Data {
    fn create_user(&mut self, user: User, token: Option<&str>) -> Result<bool, StoreError> {
        if self.users.contains_key(&user.user_id) {
            return Err(StoreError::Exists(user.user_id.to_string()));
        }
        if let Some(token) = token {
            let known = self.tokens.get_mut(token).filter(|known| known.is_valid(now_ms()));
            let Some(known) = known else { return Ok(false) };
            known.uses_left = known.uses_left.map(|left| left.saturating_sub(1));
            known.completed += 1;
        }
        self.users.insert(user.user_id.clone(), user);
        Ok(true)
    }
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
