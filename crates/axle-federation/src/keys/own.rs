//! This server's keys and what it publishes about them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axle_protocol::signing::server_keys::{OldKey, publish};
use axle_protocol::{KeyId, ServerName, SigningKey, VerifyKey, canonical_json};

/// How long what we publish is valid, in milliseconds ("Validity": approximately 12 hours).
pub const OWN_VALIDITY_MS: i64 = 12 * 3_600_000;
/// How often it is signed anew. No answer expires in less than [`OWN_VALIDITY_MS`] less this.
pub const RESIGN_EVERY_MS: i64 = 3_600_000;

/// This server's keys.
#[derive(Debug, Clone)]
pub struct OwnKeys {
    /// The name they sign for.
    pub server_name: ServerName,
    /// Those in use; at least one.
    pub current: Vec<SigningKey>,
    /// Those that have signed events before.
    pub old: BTreeMap<KeyId, OldKey>,
    /// Whether to say `m.linearized`: that this server speaks nothing but Linearized Matrix.
    pub linearized: bool,
}

/// [`OwnKeys`] with the response that was made of them.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) keys: OwnKeys,
    response: Mutex<Option<(i64, Arc<str>)>>,
}

impl Published {
    pub(super) fn new(keys: OwnKeys) -> Self {
        Self { keys, response: Mutex::new(None) }
    }

    /// The response to `GET /_matrix/key/v2/server`.
    pub(super) fn response(&self, now: i64) -> Arc<str> {
        let mut response = self.response.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = response.as_ref().filter(|(signed_at, _)| (0..RESIGN_EVERY_MS).contains(&(now - signed_at)));
        if let Some((_, text)) = fresh {
            return text.clone();
        }
        let OwnKeys { server_name, current, old, linearized } = &self.keys;
        let object = publish(server_name, now + OWN_VALIDITY_MS, *linearized, current, old);
        let text: Arc<str> = canonical_json::object_to_string(&object).into();
        *response = Some((now, text.clone()));
        text
    }

    /// A key of ours, by whose end it must have been used.
    pub(super) fn event_key(&self, id: &KeyId, at_ts: i64) -> Option<VerifyKey> {
        let current = self.keys.current.iter().find(|key| key.id() == id).map(SigningKey::verify_key);
        current.or_else(|| self.keys.old.get(id).filter(|old| at_ts <= old.expired_ts).map(|old| old.key.clone()))
    }
}
