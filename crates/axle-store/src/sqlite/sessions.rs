//! The devices whose access tokens were used lately: every request asks for one.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axle_protocol::UserId;
use axle_protocol::event::Hash;
use lru::LruCache;

use crate::{Device, Standing};

/// Devices that are kept.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(16 * 1024).unwrap();

/// Devices by the hash of their access token, as they are durable.
pub(super) struct Sessions(Mutex<Kept>);

struct Kept {
    devices: LruCache<Hash, (Device, Standing)>,
    /// How often devices have changed.
    changes: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        // Grows with what is in it.
        let mut devices = LruCache::unbounded();
        devices.resize(MAX_KEPT);
        Self(Mutex::new(Kept { devices, changes: 0 }))
    }
}

impl Sessions {
    /// The device with this token and how its user stands; or else what [`put`](Self::put) wants to be told, taken before the device is read.
    pub(super) fn get(&self, access_hash: &Hash) -> Result<(Device, Standing), u64> {
        let mut kept = self.lock();
        let changes = kept.changes;
        kept.devices.get(access_hash).cloned().ok_or(changes)
    }

    /// Keeps a device that was read, unless devices have changed since.
    pub(super) fn put(&self, found: &(Device, Standing), changes: u64) {
        let mut kept = self.lock();
        if kept.changes == changes {
            kept.devices.put(found.0.tokens.access_hash, found.clone());
        }
    }

    /// Devices of these users, or what their accounts can be used for, have changed, durably.
    pub(super) fn changed(&self, users: &[UserId]) {
        if users.is_empty() {
            return;
        }
        let mut kept = self.lock();
        kept.changes += 1;
        let stale = kept.devices.iter().filter(|(_, (device, _))| users.contains(&device.user_id));
        let stale: Vec<Hash> = stale.map(|(hash, _)| *hash).collect();
        for hash in stale {
            kept.devices.pop(&hash);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
