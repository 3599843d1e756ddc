//! Keys for end-to-end encryption, and messages from device to device.

mod cross_signing;
mod dehydrated;
mod devices;
mod mls;
mod to_device;

use serde_json::{Value, json};

use crate::common::Person;

const KEYS: &str = "/_matrix/client/v3/keys";

/// Identity keys of somebody's device, as its client makes them.
fn device_keys(person: &Person, key: &str) -> Value {
    let id = format!("ed25519:{}", person.device_id);
    json!({
        "user_id": person.user_id, "device_id": person.device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"], "keys": {&id: key},
        "signatures": {person.user_id.as_str(): {&id: "c2lnbmF0dXJl"}},
    })
}

async fn publish(person: &Person, key: &str) {
    person.post(&format!("{KEYS}/upload"), json!({"device_keys": device_keys(person, key)})).await.ok();
}

async fn query(person: &Person, of: &Person) -> Value {
    person.post(&format!("{KEYS}/query"), json!({"device_keys": {of.user_id.as_str(): []}})).await.ok()
}
