//! People, devices and the time.

pub(crate) mod room;
pub(crate) mod sim;

use std::time::{SystemTime, UNIX_EPOCH};

use axle_mls::DeviceKey;
use axle_protocol::UserId;

pub(crate) const ALICE: &str = "@alice:a.test";
pub(crate) const CAROL: &str = "@carol:hub.test";
pub(crate) const BOB: &str = "@bob:b.test";

/// Seconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

/// The same key for the same user and device.
pub(crate) fn key(user_id: &str, device_id: &str) -> DeviceKey {
    let mut seed = [7; 32];
    for (i, byte) in user_id.bytes().chain(device_id.bytes()).enumerate() {
        seed[i % 32] ^= byte.rotate_left(u32::try_from(i / 32).unwrap());
    }
    DeviceKey::from_seed(user(user_id), device_id, &seed).unwrap()
}
