//! Backups of room keys.

use std::collections::BTreeMap;

use async_trait::async_trait;
use axle_protocol::UserId;

use super::MemoryStore;
use super::data::Data;
use crate::{BackupKey, KeyBackup, KeyBackups, PutAuthData, PutBackupKeys, StoreError, WhichKeys};

/// A user's backups.
#[derive(Default)]
pub(super) struct Backups {
    last: i64,
    by_version: BTreeMap<i64, (KeyBackup, Keys)>,
}

/// By room and session.
type Keys = BTreeMap<(String, String), BackupKey>;

#[async_trait]
impl KeyBackups for MemoryStore {
    async fn create_key_backup(
        &self,
        user_id: &UserId,
        algorithm: &str,
        auth_data: &str,
        most: usize,
    ) -> Result<Option<i64>, StoreError> {
        let (user_id, algorithm, auth_data) = (user_id.clone(), algorithm.to_owned(), auth_data.to_owned());
        self.write(move |data| {
            let backups = data.key_backups.entry(user_id).or_default();
            if backups.by_version.len() >= most {
                return Ok(None);
            }
            backups.last += 1;
            let backup = KeyBackup { version: backups.last, algorithm, auth_data, etag: 0, keys: 0 };
            backups.by_version.insert(backups.last, (backup, Keys::new()));
            Ok(Some(backups.last))
        })
        .await
    }

    async fn key_backup(&self, user_id: &UserId, version: Option<i64>) -> Result<Option<KeyBackup>, StoreError> {
        let inner = self.lock();
        let Some(backups) = inner.data.key_backups.get(user_id) else { return Ok(None) };
        let found = match version {
            Some(version) => backups.by_version.get(&version),
            None => backups.by_version.values().next_back(),
        };
        Ok(found.map(|(backup, _)| backup.clone()))
    }

    async fn put_key_backup_auth_data(
        &self,
        user_id: &UserId,
        version: i64,
        algorithm: &str,
        auth_data: &str,
    ) -> Result<PutAuthData, StoreError> {
        let (user_id, algorithm, auth_data) = (user_id.clone(), algorithm.to_owned(), auth_data.to_owned());
        self.write(move |data| {
            let Some((backup, _)) = data.backup(&user_id, version) else { return Ok(PutAuthData::NoBackup) };
            if backup.algorithm != algorithm {
                return Ok(PutAuthData::OtherAlgorithm);
            }
            backup.auth_data = auth_data;
            Ok(PutAuthData::Stored)
        })
        .await
    }

    async fn remove_key_backup(&self, user_id: &UserId, version: i64) -> Result<bool, StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| {
            let Some(backups) = data.key_backups.get_mut(&user_id) else { return Ok(false) };
            backups.by_version.remove(&version);
            Ok((1..=backups.last).contains(&version))
        })
        .await
    }

    async fn put_backup_keys(
        &self,
        user_id: &UserId,
        version: i64,
        keys: Vec<BackupKey>,
        most_bytes: u64,
    ) -> Result<PutBackupKeys, StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| Ok(data.put_backup_keys(&user_id, version, keys, most_bytes))).await
    }

    async fn backup_keys(
        &self,
        user_id: &UserId,
        version: i64,
        which: WhichKeys,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Result<Option<Vec<BackupKey>>, StoreError> {
        let inner = self.lock();
        let backup = inner.data.key_backups.get(user_id).and_then(|backups| backups.by_version.get(&version));
        let is_later = |place: &(String, String)| after.as_ref().is_none_or(|after| place > after);
        Ok(backup.map(|(_, keys)| {
            let keys = keys.iter().filter(|(place, key)| is_later(place) && is_one(&which, key));
            keys.take(limit).map(|(_, key)| key.clone()).collect()
        }))
    }

    async fn remove_backup_keys(
        &self,
        user_id: &UserId,
        version: i64,
        which: WhichKeys,
    ) -> Result<Option<KeyBackup>, StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| {
            let Some((backup, keys)) = data.backup(&user_id, version) else { return Ok(None) };
            let before = keys.len();
            keys.retain(|_, key| !is_one(&which, key));
            if keys.len() < before {
                backup.etag += 1;
                backup.keys = keys.len().try_into().unwrap_or(u64::MAX);
            }
            Ok(Some(backup.clone()))
        })
        .await
    }
}

impl Data {
    fn backup(&mut self, user_id: &UserId, version: i64) -> Option<&mut (KeyBackup, Keys)> {
        self.key_backups.get_mut(user_id)?.by_version.get_mut(&version)
    }

    fn put_backup_keys(
        &mut self,
        user_id: &UserId,
        version: i64,
        new: Vec<BackupKey>,
        most_bytes: u64,
    ) -> PutBackupKeys {
        let Some(backups) = self.key_backups.get_mut(user_id) else { return PutBackupKeys::NoBackup };
        let all = backups.by_version.values().flat_map(|(_, keys)| keys.values());
        let bytes: u64 = all.chain(&new).map(BackupKey::bytes).sum();
        let Some((current, (backup, keys))) = backups.by_version.iter_mut().next_back() else {
            return PutBackupKeys::NoBackup;
        };
        if *current != version {
            return PutBackupKeys::NotCurrent(*current);
        }
        if bytes > most_bytes {
            return PutBackupKeys::Full;
        }
        let mut changed = false;
        for key in new {
            let place = (key.room_id.clone(), key.session_id.clone());
            if keys.get(&place).is_none_or(|known| key.quality.beats(&known.quality)) {
                keys.insert(place, key);
                changed = true;
            }
        }
        if changed {
            backup.etag += 1;
            backup.keys = keys.len().try_into().unwrap_or(u64::MAX);
        }
        PutBackupKeys::Stored(backup.clone())
    }
}

fn is_one(which: &WhichKeys, key: &BackupKey) -> bool {
    let (room_id, session_id) = which.place();
    room_id.is_none_or(|room_id| room_id == key.room_id)
        && session_id.is_none_or(|session_id| session_id == key.session_id)
}
