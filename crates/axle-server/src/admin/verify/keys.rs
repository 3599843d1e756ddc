//! Every key that was ever seen, loaded server by server.

use std::collections::HashMap;

use axle_protocol::signing::KeySource;
use axle_protocol::{KeyId, ServerName, VerifyKey};
use axle_store::StoreError;

use crate::admin::{Admin, AdminError, failed};
use crate::key_file::SigningKeys;

/// The keys, each with the last moment at which it counts.
pub(super) struct Keys<'a> {
    admin: &'a Admin,
    known: HashMap<ServerName, HashMap<KeyId, (VerifyKey, i64)>>,
}

impl<'a> Keys<'a> {
    /// Our own ones.
    pub(super) fn new(admin: &'a Admin) -> Result<Self, AdminError> {
        let own = SigningKeys::load(&admin.signing_keys).map_err(failed)?;
        let current = (own.current.id().clone(), (own.current.verify_key(), i64::MAX));
        let old = own.old.into_iter().map(|(id, old)| (id, (old.key, old.expired_ts)));
        let own = old.chain([current]).collect();
        Ok(Self { admin, known: HashMap::from([(admin.server_name.clone(), own)]) })
    }

    /// Those of this server, too.
    pub(super) async fn load(&mut self, server: &ServerName) -> Result<(), StoreError> {
        if self.known.contains_key(server) {
            return Ok(());
        }
        let stored = self.admin.store.server_keys(server).await?;
        let keys = stored.into_iter().filter_map(|stored| {
            let until = stored.expired_ts.unwrap_or(stored.valid_until_ts);
            Some((stored.key_id, (VerifyKey::from_base64(&stored.key)?, until)))
        });
        self.known.insert(server.clone(), keys.collect());
        Ok(())
    }
}

impl KeySource for Keys<'_> {
    fn verify_key(&self, server: &ServerName, key: &KeyId, at_ts: i64) -> Option<VerifyKey> {
        let (key, until) = self.known.get(server)?.get(key)?;
        (at_ts <= *until).then(|| key.clone())
    }
}
