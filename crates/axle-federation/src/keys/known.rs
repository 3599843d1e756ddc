//! What is known of one server's keys, and when to ask again. Without I/O.

use std::collections::HashMap;
use std::sync::Arc;

use axle_protocol::signing::server_keys::ServerKeys;
use axle_protocol::{KeyId, ServerName, VerifyKey};
use axle_store::StoredKey;

/// After the first failure to get a server's keys; doubles with each further one. Milliseconds.
pub const FIRST_RETRY_MS: i64 = 2_000;
/// The most that backing off leads to.
pub const MAX_RETRY_MS: i64 = 600_000;

/// A key and the last time that an event signed with it may have.
#[derive(Debug, Clone)]
struct EventKey {
    key: VerifyKey,
    until: i64,
}

/// One server's keys.
#[derive(Debug, Default, Clone)]
pub(super) struct Known {
    /// What it publishes now, as far as we know.
    current: Option<Arc<ServerKeys>>,
    /// Every key it ever had.
    events: HashMap<KeyId, EventKey>,
    fetched_at: Option<i64>,
    failures: u32,
    retry_at: i64,
}

impl Known {
    /// From the store: every key, and the newest response if there is one.
    pub(super) fn restore(stored: &[StoredKey], current: Option<ServerKeys>) -> Self {
        let mut known = Self::default();
        for stored in stored {
            if let Some(key) = VerifyKey::from_base64(&stored.key) {
                let until = stored.expired_ts.unwrap_or(stored.valid_until_ts);
                known.events.insert(stored.key_id.clone(), EventKey { key, until });
            }
        }
        if let Some(current) = &current {
            // The store keeps the first key of an id. A server that was set up anew uses another under the same.
            for (id, key) in &current.verify_keys {
                known.learn_key(id, key, current.valid_until_ts);
            }
        }
        known.current = current.map(Arc::new);
        known
    }

    /// The server, or a notary, told its keys. Returns what is to be stored.
    pub(super) fn learn(&mut self, keys: ServerKeys, now: i64) -> Vec<StoredKey> {
        for (id, key) in &keys.verify_keys {
            self.learn_key(id, key, keys.valid_until_ts);
        }
        for (id, old) in &keys.old_verify_keys {
            if !keys.verify_keys.contains_key(id) {
                // What a server says about a key's end overrides what it promised before.
                self.events.insert(id.clone(), EventKey { key: old.key.clone(), until: old.expired_ts });
            }
        }
        let stored = to_store(&keys);
        if self.current.as_ref().is_none_or(|current| current.valid_until_ts <= keys.valid_until_ts) {
            self.current = Some(Arc::new(keys));
        }
        self.fetched_at = Some(now);
        self.failures = 0;
        stored
    }

    /// Nobody told its keys.
    pub(super) fn failed(&mut self, now: i64) {
        let delay = FIRST_RETRY_MS.saturating_mul(1 << self.failures.min(20)).min(MAX_RETRY_MS);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now.saturating_add(delay);
    }

    /// Whether it may be asked now: not soon after a failure, and not again right after an answer.
    pub(super) fn may_ask(&self, now: i64, min_refresh_ms: i64) -> bool {
        let recently = self.fetched_at.is_some_and(|at| (0..min_refresh_ms).contains(&(now - at)));
        !recently && (self.failures == 0 || now >= self.retry_at)
    }

    /// Whether anything was ever known of it.
    pub(super) fn is_stranger(&self) -> bool {
        self.events.is_empty()
    }

    /// What it publishes now.
    pub(super) fn current(&self) -> Option<&Arc<ServerKeys>> {
        self.current.as_ref()
    }

    /// A key that may have signed an event of that time.
    pub(super) fn event_key(&self, id: &KeyId, at_ts: i64) -> Option<&VerifyKey> {
        self.events.get(id).filter(|key| at_ts <= key.until).map(|key| &key.key)
    }

    /// Whether what we have is older than half of its life, when a notary asks anew.
    pub(super) fn is_half_old(&self, now: i64) -> bool {
        match (&self.current, self.fetched_at) {
            (Some(current), Some(at)) => now - at >= (current.valid_until_ts - at) / 2,
            _ => true,
        }
    }

    fn learn_key(&mut self, id: &KeyId, key: &VerifyKey, valid_until: i64) {
        let same = self.events.get(id).filter(|known| known.key == *key);
        let until = same.map_or(valid_until, |known| known.until.max(valid_until));
        self.events.insert(id.clone(), EventKey { key: key.clone(), until });
    }
}

fn to_store(keys: &ServerKeys) -> Vec<StoredKey> {
    let server: &ServerName = &keys.server_name;
    let stored = |id: &KeyId, key: &VerifyKey, expired_ts: Option<i64>| StoredKey {
        server: server.clone(),
        key_id: id.clone(),
        key: key.to_base64(),
        valid_until_ts: expired_ts.unwrap_or(keys.valid_until_ts),
        expired_ts,
    };
    let current = keys.verify_keys.iter().map(|(id, key)| stored(id, key, None));
    let old = keys.old_verify_keys.iter().filter(|(id, _)| !keys.verify_keys.contains_key(*id));
    current.chain(old.map(|(id, old)| stored(id, &old.key, Some(old.expired_ts)))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axle_protocol::SigningKey;
    use axle_protocol::signing::server_keys::OldKey;

    use super::*;

    fn id(text: &str) -> KeyId {
        KeyId::parse(text).unwrap()
    }

    fn key(seed: u8) -> VerifyKey {
        SigningKey::from_seed(id("ed25519:x"), &[seed; 32]).verify_key()
    }

    fn keys(current: &[(&str, u8)], old: &[(&str, u8, i64)], valid_until_ts: i64) -> ServerKeys {
        ServerKeys {
            server_name: ServerName::parse("a.test").unwrap(),
            valid_until_ts,
            linearized: None,
            verify_keys: current.iter().map(|(name, seed)| (id(name), key(*seed))).collect(),
            old_verify_keys: old
                .iter()
                .map(|(name, seed, expired_ts)| (id(name), OldKey { key: key(*seed), expired_ts: *expired_ts }))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn keys_are_valid_until_the_latest_time_told() {
        let mut known = Known::default();
        known.learn(keys(&[("ed25519:1", 1)], &[], 100), 0);
        known.learn(keys(&[("ed25519:1", 1)], &[], 300), 0);
        known.learn(keys(&[("ed25519:1", 1)], &[], 200), 0);
        assert!(known.event_key(&id("ed25519:1"), 300).is_some());
        assert!(known.event_key(&id("ed25519:1"), 301).is_none());
        assert_eq!(known.current().unwrap().valid_until_ts, 300);
    }

    #[test]
    fn a_dropped_key_still_verifies_history_but_no_request() {
        let mut known = Known::default();
        known.learn(keys(&[("ed25519:1", 1)], &[], 100), 0);
        known.learn(keys(&[("ed25519:2", 2)], &[], 200), 0);
        assert!(known.event_key(&id("ed25519:1"), 100).is_some());
        assert!(known.current().unwrap().request_key(&id("ed25519:1"), 50).is_none());
        assert!(known.current().unwrap().request_key(&id("ed25519:2"), 50).is_some());
    }

    #[test]
    fn an_end_that_is_told_overrides_a_promise() {
        let mut known = Known::default();
        known.learn(keys(&[("ed25519:1", 1)], &[], 1000), 0);
        let stored = known.learn(keys(&[("ed25519:2", 2)], &[("ed25519:1", 1, 400)], 1000), 0);
        assert!(known.event_key(&id("ed25519:1"), 400).is_some());
        assert!(known.event_key(&id("ed25519:1"), 401).is_none());
        assert_eq!(stored.len(), 2);
        assert_eq!(stored[1].expired_ts, Some(400));
        assert!(Known::restore(&stored, None).event_key(&id("ed25519:1"), 401).is_none());
    }

    #[test]
    fn another_key_under_the_same_id_does_not_inherit_its_time() {
        let mut known = Known::default();
        known.learn(keys(&[("ed25519:1", 1)], &[], 1000), 0);
        known.learn(keys(&[("ed25519:1", 2)], &[], 500), 0);
        assert!(known.event_key(&id("ed25519:1"), 600).is_none());
    }

    #[test]
    fn asking_is_limited() {
        let mut known = Known::default();
        assert!(known.may_ask(0, 1000));
        known.failed(0);
        assert!(!known.may_ask(FIRST_RETRY_MS - 1, 1000) && known.may_ask(FIRST_RETRY_MS, 1000));
        for _ in 0..30 {
            known.failed(0);
        }
        assert!(!known.may_ask(MAX_RETRY_MS - 1, 1000) && known.may_ask(MAX_RETRY_MS, 1000));
        known.learn(keys(&[("ed25519:1", 1)], &[], 10_000), 5000);
        assert!(!known.may_ask(5999, 1000) && known.may_ask(6000, 1000));
        assert!(!known.is_half_old(7000) && known.is_half_old(7500));
    }
}
