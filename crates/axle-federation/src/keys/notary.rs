//! What others ask us about third servers' keys.

use std::collections::HashSet;
use std::time::Duration;

use axle_protocol::ServerName;
use axle_protocol::signing::server_keys::notary::{KeyQuery, KeyQueryResponse, attest};
use axle_protocol::{canonical_json, signing::server_keys::ServerKeysError};
use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{KeyRing, Known};

/// Responses with distinct keys that are answered for one server, the newest first.
pub const MAX_RESPONSES_PER_SERVER: usize = 10;
/// Servers that one query may make us ask, besides those whose keys are fresh.
const MAX_REFRESHED_PER_QUERY: usize = 20;
/// Servers asked at once for one query.
const REFRESHED_AT_ONCE: usize = 4;
/// How long a query waits for servers that do not answer.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(15);

impl KeyRing {
    /// `GET /_matrix/key/v2/query/:serverName`.
    pub async fn query(&self, server: &ServerName, minimum_valid_until_ts: Option<i64>) -> KeyQueryResponse {
        let minimum = minimum_valid_until_ts.unwrap_or_else(|| self.0.now());
        self.refresh_stale(&[(server.clone(), minimum)]).await;
        KeyQueryResponse { server_keys: self.attested(server, minimum).await }
    }

    /// `POST /_matrix/key/v2/query`.
    pub async fn query_many(&self, query: &KeyQuery) -> KeyQueryResponse {
        let now = self.0.now();
        let minimum = |server| query.minimum_valid_until_ts(server).unwrap_or(now);
        let asked: Vec<_> = query.server_keys.keys().map(|server| (server.clone(), minimum(server))).collect();
        self.refresh_stale(&asked).await;
        let mut server_keys = Vec::new();
        for (server, minimum) in &asked {
            server_keys.extend(self.attested(server, *minimum).await);
        }
        KeyQueryResponse { server_keys }
    }

    async fn refresh_stale(&self, asked: &[(ServerName, i64)]) {
        let now = self.0.now();
        let mut seen = HashSet::new();
        let mut stale = Vec::new();
        for (server, minimum) in asked {
            if *server == self.0.own.keys.server_name || !seen.insert(server) || stale.len() >= MAX_REFRESHED_PER_QUERY
            {
                continue;
            }
            let slot = self.0.loaded(server).await;
            let minimum = *minimum;
            let fresh = move |known: &Known| {
                let reaches = known.current().is_some_and(|keys| keys.valid_until_ts >= minimum.max(now));
                reaches && !known.is_half_old(now)
            };
            if !fresh(&slot.known()) {
                stale.push(async move { self.refresh(server, &slot, fresh).await });
            }
        }
        let refreshes = futures_util::stream::iter(stale).buffer_unordered(REFRESHED_AT_ONCE).collect::<Vec<()>>();
        let _ = timeout(REFRESH_TIMEOUT, refreshes).await;
    }

    /// What we have, with our signature, as far as it is valid long enough. Where nothing is, all that there is: who asks
    /// about a server that is gone can still check what it signed in its time.
    async fn attested(&self, server: &ServerName, minimum: i64) -> Vec<Map<String, Value>> {
        let own = &self.0.own.keys;
        if *server == own.server_name {
            let valid_long_enough = self.0.now() + super::OWN_VALIDITY_MS - super::RESIGN_EVERY_MS >= minimum;
            let response = canonical_json::parse_object(self.own_response().as_bytes()).ok();
            return response.into_iter().filter(|_| valid_long_enough).collect();
        }
        let responses = self.0.store.key_responses(server).await.unwrap_or_else(|error| {
            tracing::warn!(%server, %error, "cannot read a server's keys");
            Vec::new()
        });
        let is_useful = |(valid_until_ts, _): &(i64, String)| *valid_until_ts >= minimum;
        let any_useful = responses.iter().any(is_useful);
        let useful = responses.into_iter().filter(|response| !any_useful || is_useful(response));
        let attested = |(_, response): (i64, String)| -> Result<Map<String, Value>, ServerKeysError> {
            let (first, rest) = own.current.split_first().ok_or(ServerKeysError::NoKey)?;
            let mut object = attest(response.as_bytes(), &own.server_name, first)?;
            for key in rest {
                axle_protocol::signing::sign_object(&mut object, own.server_name.as_str(), key);
            }
            Ok(object)
        };
        useful.take(MAX_RESPONSES_PER_SERVER).filter_map(|response| attested(response).ok()).collect()
    }
}
