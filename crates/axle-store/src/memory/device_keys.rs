//! Published keys of local users.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::auth::Membership;

use super::MemoryStore;
use super::data::{Data, Room};
use crate::{
    CrossSigningKey, DeviceKeys, KeyName, KeySignature, KeyUpload, KeyUsage, NewKey, PublishedDevice, StoreError,
    UserKeys,
};

/// Keys, and when they changed.
#[derive(Default)]
pub(super) struct KeyData {
    devices: BTreeMap<(UserId, String), String>,
    /// The oldest first.
    pub(super) one_time: Vec<(UserId, String, NewKey)>,
    /// By user, device and algorithm; whether it was used.
    pub(super) fallback: BTreeMap<(UserId, String, String), (NewKey, bool)>,
    /// Those that were given out and have an end: by user, device and fingerprint, with that end.
    pub(super) used: BTreeMap<(UserId, String, String), i64>,
    cross_signing: BTreeMap<(UserId, KeyUsage), CrossSigningKey>,
    signatures: Vec<KeySignature>,
    /// By user and, if it is for one reader only, the reader.
    changes: BTreeMap<(UserId, Option<UserId>), i64>,
}

impl KeyData {
    /// Users with a change that everyone may see in a part of the stream, and its place.
    pub(super) fn public_changes(&self, after: i64, until: i64) -> Vec<(UserId, i64)> {
        let public = self
            .changes
            .iter()
            .filter(|((_, reader), stream)| reader.is_none() && after < **stream && **stream <= until);
        public.map(|((user_id, _), stream)| (user_id.clone(), *stream)).collect()
    }
}

#[async_trait]
impl DeviceKeys for MemoryStore {
    async fn upload_keys(&self, upload: KeyUpload) -> Result<bool, StoreError> {
        self.write(move |data| data.upload_keys(upload)).await
    }

    async fn user_keys(&self, user_ids: Vec<UserId>, viewer: &UserId) -> Result<Vec<UserKeys>, StoreError> {
        let inner = self.lock();
        Ok(user_ids.into_iter().map(|user_id| inner.data.user_keys(user_id, viewer)).collect())
    }

    async fn put_cross_signing_keys(&self, user_id: &UserId, keys: Vec<CrossSigningKey>) -> Result<(), StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| {
            let known = data.e2ee.cross_signing.get(&(user_id.clone(), KeyUsage::Master));
            let is_other = |new: &CrossSigningKey| {
                new.usage == KeyUsage::Master && known.is_some_and(|known| known.public_key != new.public_key)
            };
            if keys.iter().any(is_other) {
                data.e2ee.cross_signing.retain(|(user, usage), _| *user != user_id || *usage == KeyUsage::Master);
            }
            let are_private = keys.iter().all(|key| key.usage == KeyUsage::UserSigning);
            for key in keys {
                let public_key = key.public_key.clone();
                let known = data.e2ee.cross_signing.insert((user_id.clone(), key.usage), key);
                if let Some(known) = known.filter(|known| known.public_key != public_key) {
                    data.forget_signatures(&user_id, &known.public_key);
                }
            }
            let reader = are_private.then(|| user_id.clone());
            data.keys_changed(user_id, reader);
            Ok(())
        })
        .await
    }

    async fn put_key_signatures(&self, signatures: Vec<KeySignature>) -> Result<(), StoreError> {
        self.write(move |data| {
            for new in signatures {
                let place = |known: &KeySignature| {
                    (known.target_user.clone(), known.signer.clone(), known.target.clone(), known.key_id.clone())
                };
                data.e2ee.signatures.retain(|known| place(known) != place(&new));
                let reader = (new.target_user != new.signer).then(|| new.signer.clone());
                data.keys_changed(new.target_user.clone(), reader);
                data.e2ee.signatures.push(new);
            }
            data.e2ee.signatures.sort();
            Ok(())
        })
        .await
    }

    async fn key_changes(&self, user_id: &UserId, after: i64, until: i64) -> Result<Vec<UserId>, StoreError> {
        let inner = self.lock();
        let mut found = BTreeSet::new();
        for ((changed, reader), stream) in &inner.data.e2ee.changes {
            let visible = match reader {
                Some(reader) => reader == user_id,
                None => changed == user_id || inner.data.share_a_room(user_id, changed),
            };
            if visible && after < *stream && *stream <= until {
                found.insert(changed.clone());
            }
        }
        Ok(found.into_iter().collect())
    }

    async fn sharing_rooms(&self, user_id: &UserId, others: Vec<UserId>) -> Result<Vec<UserId>, StoreError> {
        let inner = self.lock();
        Ok(others.into_iter().filter(|other| inner.data.share_a_room(user_id, other)).collect())
    }
}

impl Data {
    /// Forgets the keys of devices, but not which were given out. Returns whether identity keys were among them.
    pub(super) fn remove_keys(&mut self, user_id: &UserId, gone: impl Fn(&UserId, &str) -> bool) -> bool {
        let keys = &mut self.e2ee;
        let published: Vec<_> = keys.devices.keys().filter(|(user, device)| gone(user, device)).cloned().collect();
        keys.devices.retain(|(user, device), _| !gone(user, device));
        keys.one_time.retain(|(user, device, _)| !gone(user, device));
        keys.fallback.retain(|(user, device, _), _| !gone(user, device));
        published.iter().for_each(|(user, device)| self.forget_signatures(user, device));
        if !published.is_empty() {
            self.keys_changed(user_id.clone(), None);
        }
        !published.is_empty()
    }

    /// Forgets the cross-signing keys of a user.
    pub(super) fn remove_cross_signing_keys(&mut self, user_id: &UserId) {
        self.e2ee.cross_signing.retain(|(user, _), _| user != user_id);
    }

    /// A device got another name, which is told along with its keys.
    pub(super) fn device_renamed(&mut self, device: &(UserId, String)) {
        if self.e2ee.devices.contains_key(device) {
            self.keys_changed(device.0.clone(), None);
        }
    }

    pub(super) fn upload_keys(&mut self, upload: KeyUpload) -> Result<bool, StoreError> {
        let KeyUpload { user_id, device_id, device_keys, one_time_keys, fallback_keys, forget } = upload;
        let is_forgotten = |name: &KeyName| forget.as_ref().is_some_and(|prefix| name.algorithm.starts_with(prefix));
        self.put_one_time_keys(&user_id, &device_id, one_time_keys, is_forgotten)?;
        self.forget_fallback_keys(&user_id, &device_id, is_forgotten);
        self.put_fallback_keys(&user_id, &device_id, fallback_keys);
        let keys = &mut self.e2ee;
        let Some(json) = device_keys else { return Ok(false) };
        let known = keys.devices.insert((user_id.clone(), device_id.clone()), json.clone());
        if known == Some(json) {
            return Ok(false);
        }
        self.forget_signatures(&user_id, &device_id);
        self.keys_changed(user_id, None);
        Ok(true)
    }

    fn user_keys(&self, user_id: UserId, viewer: &UserId) -> UserKeys {
        let devices = self.e2ee.devices.iter().filter(|((user, _), _)| *user == user_id);
        let devices = devices.map(|(place, json)| PublishedDevice {
            device_id: place.1.clone(),
            json: json.clone(),
            display_name: self.devices.get(place).and_then(|device| device.display_name.clone()),
        });
        let cross_signing = self.e2ee.cross_signing.iter().filter(|((user, _), _)| *user == user_id);
        let seen = |signature: &&KeySignature| {
            signature.target_user == user_id && (signature.signer == user_id || signature.signer == *viewer)
        };
        UserKeys {
            devices: devices.collect(),
            cross_signing: cross_signing.map(|(_, key)| key.clone()).collect(),
            signatures: self.e2ee.signatures.iter().filter(seen).cloned().collect(),
            user_id,
        }
    }

    fn forget_signatures(&mut self, user_id: &UserId, target: &str) {
        self.e2ee.signatures.retain(|known| known.target_user != *user_id || known.target != target);
    }

    fn keys_changed(&mut self, user_id: UserId, reader: Option<UserId>) {
        let stream = self.next_stream();
        if reader.is_none() {
            self.device_lists.changed(&user_id, stream);
        }
        self.e2ee.changes.insert((user_id, reader), stream);
    }

    /// The keys of another server's user changed.
    pub(super) fn remote_keys_changed(&mut self, user_id: UserId) {
        let stream = self.next_stream();
        self.e2ee.changes.insert((user_id, None), stream);
    }

    /// When a user's keys last changed for everyone.
    pub(super) fn keys_changed_at(&self, user_id: &UserId) -> Option<i64> {
        self.e2ee.changes.get(&(user_id.clone(), None)).copied()
    }

    fn share_a_room(&self, one: &UserId, other: &UserId) -> bool {
        let is_in = |room: &Room, user: &UserId| {
            let member = room.state.get(&("m.room.member".to_owned(), user.to_string()));
            member.is_some_and(|member| member.membership == Some(Membership::Join))
        };
        self.rooms.values().any(|room| is_in(room, one) && is_in(room, other))
    }
}
