//! Other servers' keys.

use async_trait::async_trait;
use axle_protocol::ServerName;

use super::MemoryStore;
use super::data::{Data, KeyResponse};
use crate::{ServerKeys, StoreError, StoredKey};

/// Responses kept of a server, the newest.
const MAX_RESPONSES: usize = 64;

#[async_trait]
impl ServerKeys for MemoryStore {
    async fn put_server_keys(
        &self,
        server: &ServerName,
        response: &str,
        valid_until_ts: i64,
        keys: &[StoredKey],
    ) -> Result<(), StoreError> {
        let (server, response, keys) = (server.clone(), response.to_owned(), keys.to_vec());
        self.write(move |data| {
            data.put_keys(&keys);
            data.put_key_response(server, response, valid_until_ts, &keys);
            Ok(())
        })
        .await
    }

    async fn server_keys(&self, server: &ServerName) -> Result<Vec<StoredKey>, StoreError> {
        Ok(self.lock().data.keys.values().filter(|key| key.server == *server).cloned().collect())
    }

    async fn key_responses(&self, server: &ServerName) -> Result<Vec<(i64, String)>, StoreError> {
        let inner = self.lock();
        let kept = inner.data.key_responses.get(server).into_iter().flatten().rev();
        Ok(kept.map(|kept| (kept.valid_until_ts, kept.response.clone())).collect())
    }
}

impl Data {
    fn put_keys(&mut self, keys: &[StoredKey]) {
        for key in keys {
            let known = self.keys.entry((key.server.clone(), key.key_id.clone())).or_insert_with(|| key.clone());
            if known.key == key.key {
                known.valid_until_ts = known.valid_until_ts.max(key.valid_until_ts);
                known.expired_ts = key.expired_ts.or(known.expired_ts);
            }
        }
    }

    fn put_key_response(&mut self, server: ServerName, response: String, valid_until_ts: i64, keys: &[StoredKey]) {
        let kept = self.key_responses.entry(server).or_default();
        let set = keys.iter().map(|key| (key.key_id.to_string(), key.key.clone(), key.expired_ts)).collect();
        if kept.iter().any(|old| old.keys == set && old.valid_until_ts > valid_until_ts) {
            return;
        }
        kept.retain(|old| old.keys != set);
        kept.push(KeyResponse { keys: set, valid_until_ts, response });
        if kept.len() > MAX_RESPONSES {
            kept.remove(0);
        }
    }
}
