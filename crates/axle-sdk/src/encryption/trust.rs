//! Devices of others: which are known, and which the user has verified.

use std::collections::{BTreeMap, BTreeSet};

use axle_mls::Credential;
use axle_mls::member::safety_code;
use axle_protocol::{RoomId, UserId, base64};

use super::books::KnownDevice;
use super::core::{Core, Result};
use super::{DeviceView, EncryptionError, Notice, Trust};

impl Core {
    /// Remembers the devices of a group. Tells of those that are new with a user who was known, and of keys that are
    /// others than before.
    pub(super) fn meet(&mut self, room: &RoomId, devices: &[Credential]) -> Result<()> {
        let users: BTreeSet<&UserId> = devices.iter().map(|device| &device.user_id).collect();
        for user in users {
            let mut known = self.books.known(user)?;
            let (is_known, before) = (!known.is_empty(), known.len());
            let mut changed = false;
            for device in devices.iter().filter(|device| device.user_id == *user && !self.is_this(device)) {
                changed |= self.meet_device(room, device, is_known, &mut known);
            }
            if changed || known.len() != before {
                self.books.keep_known(user, &known)?;
            }
        }
        Ok(())
    }

    fn meet_device(
        &self,
        room: &RoomId,
        device: &Credential,
        user_is_known: bool,
        known: &mut BTreeMap<String, KnownDevice>,
    ) -> bool {
        let key = base64::encode(&device.signature_key);
        let (user_id, device_id) = (device.user_id.to_string(), device.device_id.clone());
        // A device of the user's own is always worth a warning.
        let is_notable = user_is_known || device.user_id == self.member.credential().user_id;
        match known.get_mut(&device.device_id) {
            Some(before) if before.key == key => return false,
            Some(before) => {
                let was_verified = before.verified.is_some();
                before.key = key;
                self.tell(Notice::KeyChanged { user_id, device_id, was_verified });
            }
            None => {
                known.insert(device_id.clone(), KnownDevice { key, verified: None });
                if is_notable {
                    self.tell(Notice::NewDevice { room_id: room.to_string(), user_id, device_id });
                }
            }
        }
        true
    }

    /// Notes that the user has compared the code of a device, and that it is right.
    pub(super) fn verify(&mut self, user: &UserId, device_id: &str) -> Result<()> {
        let mut known = self.books.known(user)?;
        let device = known.get_mut(device_id).ok_or(EncryptionError::NoSuchDevice)?;
        device.verified = Some(device.key.clone());
        self.books.keep_known(user, &known)
    }

    /// The devices in a room's group.
    pub(super) fn devices(&mut self, room: &RoomId) -> Result<Vec<DeviceView>> {
        if !self.is_in(room)? {
            return Err(EncryptionError::NotInGroup);
        }
        let own = self.member.credential().clone();
        let mut members = self.member.members(room)?;
        members.sort_by_key(|device| (device.user_id.clone(), device.device_id.clone()));
        let view = |device: Credential| {
            Ok(DeviceView {
                is_this: device == own,
                safety_code: safety_code(&own, &device),
                trust: self.trust(&device)?,
                user_id: device.user_id.to_string(),
                device_id: device.device_id,
            })
        };
        members.into_iter().map(view).collect()
    }

    fn trust(&self, device: &Credential) -> Result<Trust> {
        let known = self.books.known(&device.user_id)?;
        let verified = known.get(&device.device_id).and_then(|known| known.verified.clone());
        Ok(match verified {
            None => Trust::Unverified,
            Some(key) if key == base64::encode(&device.signature_key) => Trust::Verified,
            Some(_) => Trust::ChangedSince,
        })
    }

    fn is_this(&self, device: &Credential) -> bool {
        device == self.member.credential()
    }
}
