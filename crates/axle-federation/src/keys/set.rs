//! Keys at hand, for checking a batch without waiting for anything.

use std::collections::HashMap;
use std::sync::Arc;

use axle_protocol::signing::KeySource;
use axle_protocol::signing::server_keys::ServerKeys;
use axle_protocol::{KeyId, ServerName, VerifyKey};

use super::known::Known;
use super::own::Published;

/// The keys that a batch of events needs, as far as they could be had. A key counts for an event if it was valid at the
/// event's `origin_server_ts`, whether it still is or not.
#[derive(Debug, Clone)]
pub struct KeySet {
    own: Arc<Published>,
    servers: HashMap<ServerName, Arc<Known>>,
}

impl KeySet {
    pub(super) fn new(own: Arc<Published>, servers: HashMap<ServerName, Arc<Known>>) -> Self {
        Self { own, servers }
    }
}

impl KeySource for KeySet {
    fn verify_key(&self, server: &ServerName, key: &KeyId, at_ts: i64) -> Option<VerifyKey> {
        if *server == self.own.keys.server_name {
            return self.own.event_key(key, at_ts);
        }
        self.servers.get(server)?.event_key(key, at_ts).cloned()
    }
}

/// What one server publishes now: what authenticates its requests.
pub(crate) struct CurrentKeys<'a>(pub(crate) &'a ServerKeys);

impl KeySource for CurrentKeys<'_> {
    fn verify_key(&self, server: &ServerName, key: &KeyId, at_ts: i64) -> Option<VerifyKey> {
        (self.0.server_name == *server).then(|| self.0.request_key(key, at_ts).cloned()).flatten()
    }
}
