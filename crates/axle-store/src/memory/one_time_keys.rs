//! Keys that devices publish to be given out.

use async_trait::async_trait;
use axle_protocol::UserId;

use super::MemoryStore;
use super::data::Data;
use super::device_keys::KeyData;
use crate::{
    ClaimedKey, KeyCounts, KeyEnd, KeyName, KeyNames, KeyWithdrawal, NewKey, OneTimeKeys, StoreError, WantedKey,
};

#[async_trait]
impl OneTimeKeys for MemoryStore {
    async fn key_counts(&self, user_id: &UserId, device_id: &str, now: i64) -> Result<KeyCounts, StoreError> {
        let inner = self.lock();
        let mut counts = KeyCounts::default();
        for (user, device, key) in &inner.data.e2ee.one_time {
            if user == user_id && device == device_id && is_good(key, now) {
                *counts.one_time.entry(key.algorithm.clone()).or_default() += 1;
            }
        }
        for ((user, device, algorithm), (key, used)) in &inner.data.e2ee.fallback {
            if user == user_id && device == device_id && !used && is_good(key, now) {
                counts.unused_fallback.push(algorithm.clone());
            }
        }
        Ok(counts)
    }

    async fn key_names(&self, user_id: &UserId, device_id: &str, now: i64) -> Result<KeyNames, StoreError> {
        let inner = self.lock();
        let keys = &inner.data.e2ee;
        let one_time = keys.one_time.iter().map(|(user, device, key)| (user, device, key));
        let fallback = keys.fallback.iter().map(|((user, device, _), (key, _))| (user, device, key));
        let is_wanted = |(user, device, key): &(&UserId, &String, &NewKey)| {
            *user == user_id && *device == device_id && is_good(key, now)
        };
        Ok(KeyNames {
            one_time: one_time.filter(is_wanted).map(|(_, _, key)| name(key)).collect(),
            fallback: fallback.filter(is_wanted).map(|(_, _, key)| name(key)).collect(),
        })
    }

    async fn claim_keys(&self, wanted: Vec<WantedKey>, now: i64) -> Result<Vec<ClaimedKey>, StoreError> {
        self.write(move |data| Ok(wanted.into_iter().filter_map(|wanted| data.claim_key(wanted, now)).collect())).await
    }

    async fn withdraw_keys(&self, withdrawal: KeyWithdrawal) -> Result<bool, StoreError> {
        self.write(move |data| {
            let KeyWithdrawal { user_id, device_id, identity, one_time, fallback } = withdrawal;
            data.forget_one_time_keys(&user_id, &device_id, |name| one_time.contains(name));
            data.forget_fallback_keys(&user_id, &device_id, |name| fallback.contains(name));
            Ok(identity && data.remove_keys(&user_id, |user, device| *user == user_id && device == device_id))
        })
        .await
    }

    async fn remove_expired_keys(&self, now: i64, limit: usize) -> Result<usize, StoreError> {
        self.write(move |data| {
            let mut removed = 0;
            let mut stays = |key: &NewKey| {
                let goes = removed < limit && !is_good(key, now);
                removed += usize::from(goes);
                !goes
            };
            data.e2ee.one_time.retain(|(_, _, key)| stays(key));
            data.e2ee.fallback.retain(|_, (key, _)| stays(key));
            data.e2ee.used.retain(|_, expires| {
                let goes = removed < limit && *expires <= now;
                removed += usize::from(goes);
                !goes
            });
            Ok(removed)
        })
        .await
    }
}

impl Data {
    /// Stores the one-time keys of an upload, all or none, in the place of those that are to be forgotten.
    pub(super) fn put_one_time_keys(
        &mut self,
        user_id: &UserId,
        device_id: &str,
        keys: Vec<NewKey>,
        forgotten: impl Fn(&KeyName) -> bool,
    ) -> Result<(), StoreError> {
        let mut new_keys = Vec::new();
        for new in keys {
            let known = self.e2ee.one_time.iter().find(|(user, device, known)| {
                user == user_id && device == device_id && name(known) == name(&new) && !forgotten(&name(known))
            });
            match known {
                Some((_, _, known)) if known.json != new.json => {
                    return Err(StoreError::Exists(format!("{}:{}", new.algorithm, new.key_id)));
                }
                Some(_) => {}
                None if self.is_known(user_id, device_id, &new, &new_keys, &forgotten) => {}
                None => new_keys.push((user_id.clone(), device_id.to_owned(), new)),
            }
        }
        self.forget_one_time_keys(user_id, device_id, forgotten);
        self.e2ee.one_time.extend(new_keys);
        Ok(())
    }

    /// Whether a key is there under another name, or was given out.
    fn is_known(
        &self,
        user_id: &UserId,
        device_id: &str,
        new: &NewKey,
        new_keys: &[(UserId, String, NewKey)],
        forgotten: &impl Fn(&KeyName) -> bool,
    ) -> bool {
        let Some(KeyEnd { fingerprint, .. }) = &new.end else { return false };
        let place = (user_id.clone(), device_id.to_owned(), fingerprint.clone());
        let is_it = |(user, device, key): &(UserId, String, NewKey)| {
            let is_same = key.end.as_ref().is_some_and(|end| end.fingerprint == *fingerprint);
            is_same && user == user_id && device == device_id && !forgotten(&name(key))
        };
        self.e2ee.used.contains_key(&place) || self.e2ee.one_time.iter().any(is_it) || new_keys.iter().any(is_it)
    }

    /// Stores fallback keys in the place of others. The same key again is as used as it was.
    pub(super) fn put_fallback_keys(&mut self, user_id: &UserId, device_id: &str, keys: Vec<NewKey>) {
        for new in keys {
            let place = (user_id.clone(), device_id.to_owned(), new.algorithm.clone());
            if self.e2ee.fallback.get(&place).is_none_or(|(known, _)| *known != new) {
                self.e2ee.fallback.insert(place, (new, false));
            }
        }
    }

    /// Forgets one-time keys of a device by their names.
    pub(super) fn forget_one_time_keys(&mut self, user_id: &UserId, device_id: &str, which: impl Fn(&KeyName) -> bool) {
        let is_it =
            |user: &UserId, device: &String, key: &NewKey| user == user_id && device == device_id && which(&name(key));
        self.e2ee.one_time.retain(|(user, device, key)| !is_it(user, device, key));
    }

    /// Forgets fallback keys of a device by their names.
    pub(super) fn forget_fallback_keys(&mut self, user_id: &UserId, device_id: &str, which: impl Fn(&KeyName) -> bool) {
        let is_it =
            |user: &UserId, device: &String, key: &NewKey| user == user_id && device == device_id && which(&name(key));
        self.e2ee.fallback.retain(|(user, device, _), (key, _)| !is_it(user, device, key));
    }

    fn claim_key(&mut self, wanted: WantedKey, now: i64) -> Option<ClaimedKey> {
        let keys = &mut self.e2ee;
        let is_it = |(user, device, key): &(UserId, String, NewKey)| {
            (user, device, &key.algorithm) == (&wanted.user_id, &wanted.device_id, &wanted.algorithm)
                && is_good(key, now)
        };
        let key = match keys.one_time.iter().position(is_it) {
            Some(index) => {
                let (user_id, device_id, key) = keys.one_time.remove(index);
                keys.note_used(user_id, device_id, key.end.clone());
                key
            }
            None => {
                let place = (wanted.user_id.clone(), wanted.device_id.clone(), wanted.algorithm.clone());
                let (key, used) = keys.fallback.get_mut(&place).filter(|(key, _)| is_good(key, now))?;
                *used = true;
                key.clone()
            }
        };
        Some(ClaimedKey { wanted, key_id: key.key_id, json: key.json })
    }
}

impl KeyData {
    /// Takes all keys for given out.
    pub(super) fn use_all(&mut self) {
        for (user_id, device_id, key) in std::mem::take(&mut self.one_time) {
            self.note_used(user_id, device_id, key.end);
        }
        self.fallback.values_mut().for_each(|(_, used)| *used = true);
    }

    fn note_used(&mut self, user_id: UserId, device_id: String, end: Option<KeyEnd>) {
        if let Some(KeyEnd { expires, fingerprint }) = end {
            self.used.insert((user_id, device_id, fingerprint), expires);
        }
    }
}

fn is_good(key: &NewKey, now: i64) -> bool {
    key.end.as_ref().is_none_or(|end| end.expires > now)
}

fn name(key: &NewKey) -> KeyName {
    KeyName { algorithm: key.algorithm.clone(), key_id: key.key_id.clone() }
}
