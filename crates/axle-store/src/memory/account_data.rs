//! What clients keep for their user.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};

use super::MemoryStore;
use super::data::Data;
use crate::{AccountData, Expected, MAX_ACCOUNT_DATA_PER_USER, PutAccountData, StoreError, UserData};

#[async_trait]
impl UserData for MemoryStore {
    async fn put_account_data(
        &self,
        user_id: &UserId,
        entry: AccountData,
        expected: Expected,
    ) -> Result<PutAccountData, StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| Ok(data.put_account_data(user_id, entry, expected))).await
    }

    async fn account_data(
        &self,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        event_type: &str,
    ) -> Result<Option<AccountData>, StoreError> {
        let key = (room_id.cloned(), event_type.to_owned());
        Ok(self.lock().data.account_data.get(user_id).and_then(|entries| entries.get(&key)).cloned())
    }

    async fn room_account_data(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        until: i64,
    ) -> Result<Vec<AccountData>, StoreError> {
        let mut entries = self.account_data_changes(user_id, i64::MIN, until).await?;
        entries.retain(|entry| entry.room_id.as_ref() == Some(room_id));
        Ok(entries)
    }

    async fn account_data_changes(
        &self,
        user_id: &UserId,
        after: i64,
        until: i64,
    ) -> Result<Vec<AccountData>, StoreError> {
        let inner = self.lock();
        let own = inner.data.account_data.get(user_id).into_iter().flat_map(|entries| entries.values());
        let mut entries: Vec<_> = own.filter(|entry| after < entry.stream && entry.stream <= until).cloned().collect();
        entries.sort_by_key(|entry| entry.stream);
        Ok(entries)
    }

    async fn has_account_data_changes(&self, user_id: &UserId, after: i64) -> Result<bool, StoreError> {
        Ok(!self.account_data_changes(user_id, after, i64::MAX).await?.is_empty())
    }
}

impl Data {
    fn put_account_data(&mut self, user_id: UserId, entry: AccountData, expected: Expected) -> PutAccountData {
        let stream = self.stream + 1;
        let entries = self.account_data.entry(user_id).or_default();
        let key = (entry.room_id.clone(), entry.event_type.clone());
        let known = entries.get(&key).map(|known| known.stream);
        let as_expected = match expected {
            Expected::Anything => true,
            Expected::Nothing => known.is_none(),
            Expected::Stream(stream) => known == Some(stream),
        };
        if !as_expected {
            return PutAccountData::Unexpected;
        }
        if known.is_none() && entries.len() >= MAX_ACCOUNT_DATA_PER_USER {
            return PutAccountData::Full;
        }
        entries.insert(key, AccountData { stream, ..entry });
        self.stream = stream;
        PutAccountData::Stored(stream)
    }
}
