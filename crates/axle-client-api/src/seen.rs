//! When devices were last seen. It is kept in memory, and written now and then.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axle_protocol::event::Hash;
use axle_store::{Device, LastSeen, Store};

use crate::state::now_ms;

/// How often it is written of a device, in milliseconds. After a crash a device seems not to have been seen so long.
const WRITE_EVERY_MS: i64 = 10 * 60 * 1000;
/// Devices kept in memory; when there are more, what was written before is forgotten, then everything.
const MAX_NOTED: usize = 100_000;

/// What is kept of a device that is seen now.
pub(crate) fn seen_now(address: Option<IpAddr>) -> LastSeen {
    LastSeen { ts: now_ms(), ip: address.map(text) }
}

/// Devices that were seen, by the hash of their access token.
#[derive(Default)]
pub(crate) struct Sightings {
    noted: Mutex<HashMap<Hash, Noted>>,
}

struct Noted {
    at: i64,
    address: Option<IpAddr>,
    written: i64,
}

impl Sightings {
    /// Notes that a device was seen now.
    pub(crate) fn note(&self, store: &Arc<dyn Store>, device: &Device, address: Option<IpAddr>) {
        let now = now_ms();
        if !self.is_due(device, address, now) {
            return;
        }
        let (store, user_id, device_id) = (store.clone(), device.user_id.clone(), device.device_id.clone());
        let seen = seen_now(address);
        tokio::spawn(async move {
            if let Err(error) = store.device_seen(&user_id, &device_id, seen).await {
                tracing::warn!(%error, "it was not written when a device was seen");
            }
        });
    }

    /// When a device was last seen, as far as is known.
    pub(crate) fn last(&self, device: &Device) -> Option<LastSeen> {
        let noted = self.lock();
        let seen = noted.get(&device.tokens.access_hash);
        seen.map(|noted| LastSeen { ts: noted.at, ip: noted.address.map(text) }).or_else(|| device.last_seen.clone())
    }

    /// Keeps it in memory; whether it is to be written.
    fn is_due(&self, device: &Device, address: Option<IpAddr>, now: i64) -> bool {
        let mut noted = self.lock();
        if noted.len() >= MAX_NOTED && !noted.contains_key(&device.tokens.access_hash) {
            noted.retain(|_, noted| now.saturating_sub(noted.at) < WRITE_EVERY_MS);
            if noted.len() >= MAX_NOTED {
                noted.clear();
            }
        }
        let written = device.last_seen.as_ref().map_or(i64::MIN, |seen| seen.ts);
        let known = noted.entry(device.tokens.access_hash).or_insert(Noted { at: now, address, written });
        (known.at, known.address) = (now, address);
        let due = now.saturating_sub(known.written) >= WRITE_EVERY_MS;
        if due {
            known.written = now;
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Noted>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(address: IpAddr) -> String {
    address.to_canonical().to_string()
}
