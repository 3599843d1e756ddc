//! Getting a server's keys: from itself, else from the notaries.

use std::collections::BTreeMap;
use std::sync::Arc;

use axle_protocol::signing::server_keys::ServerKeys;
use axle_protocol::signing::server_keys::notary::{KeyQuery, check_attested};
use axle_protocol::{ServerName, canonical_json};

use super::set::CurrentKeys;
use super::{Inner, KeyRing};

/// Keys and the response that they were in.
pub(super) struct Fetched {
    pub(super) keys: ServerKeys,
    pub(super) response: String,
}

/// Entries of a notary's answer that are looked at.
const MAX_ENTRIES: usize = 20;

impl KeyRing {
    /// All responses that could be had, the most useful last. Empty: nobody answered anything valid.
    pub(super) async fn fetch(&self, server: &ServerName) -> Vec<Fetched> {
        match self.fetch_direct(server).await {
            Ok(fetched) => return vec![fetched],
            Err(error) => tracing::debug!(%server, error, "no keys from the server itself"),
        }
        for notary in self.0.config.notaries.iter().filter(|notary| *notary != server) {
            match self.fetch_from_notary(server, notary).await {
                Ok(fetched) if !fetched.is_empty() => return fetched,
                Ok(_) => {}
                Err(error) => tracing::debug!(%server, %notary, error, "no keys from a notary"),
            }
        }
        Vec::new()
    }

    async fn fetch_direct(&self, server: &ServerName) -> Result<Fetched, String> {
        let response = self.0.client.server_keys(server).await.map_err(|error| error.to_string())?;
        let keys = ServerKeys::parse(&response, server, self.0.now()).map_err(|error| error.to_string())?;
        // What parses as JSON is UTF-8.
        let response = String::from_utf8(response.into()).map_err(|error| error.to_string())?;
        Ok(Fetched { keys, response })
    }

    async fn fetch_from_notary(&self, server: &ServerName, notary: &ServerName) -> Result<Vec<Fetched>, String> {
        let inner: &Inner = &self.0;
        let now = inner.now();
        let notary_keys = match inner.current(notary).await.filter(|keys| keys.valid_until_ts >= now) {
            Some(keys) => keys,
            // Never through another notary: one that is not reachable is of no use.
            None => {
                let fetched = self.fetch_direct(notary).await?;
                let keys = Arc::new(fetched.keys.clone());
                inner.learn(notary, vec![fetched]).await;
                keys
            }
        };
        let query = KeyQuery { server_keys: [(server.clone(), BTreeMap::new())].into() };
        let answer = inner.client.query_keys(notary, &query).await.map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        for entry in answer.server_keys.into_iter().take(MAX_ENTRIES) {
            match check_attested(&entry, server, notary, &CurrentKeys(&notary_keys), now) {
                Ok(keys) => found.push(Fetched { keys, response: canonical_json::object_to_string(&entry) }),
                Err(error) => tracing::debug!(%server, %notary, %error, "a notary's entry is not valid"),
            }
        }
        found.sort_by_key(|fetched| fetched.keys.valid_until_ts);
        Ok(found)
    }
}
