//! `GET /_matrix/key/v2/server`, notary queries, and what a server is.

use axle_protocol::ServerName;
use axle_protocol::signing::server_keys::notary::{KeyQuery, KeyQueryResponse};
use bytes::Bytes;
use http::Method;

use super::path::FEDERATION;
use super::request::Ask;
use super::{Client, ClientError};

const MAX_KEYS_BYTES: usize = 128 * 1024;
const MAX_QUERY_ANSWER_BYTES: usize = 8 * 1024 * 1024;
const MAX_VERSION_BYTES: usize = 16 * 1024;

impl Client {
    /// What a server publishes about its keys, not checked yet.
    pub async fn server_keys(&self, of: &ServerName) -> Result<Bytes, ClientError> {
        let ask = Ask { signed: false, ..self.get(MAX_KEYS_BYTES) };
        self.ask(of, "/_matrix/key/v2/server", &ask).await
    }

    /// What a notary has about other servers' keys, not checked yet.
    pub async fn query_keys(&self, notary: &ServerName, query: &KeyQuery) -> Result<KeyQueryResponse, ClientError> {
        let body = serde_json::to_vec(query).map_err(|error| ClientError::Request(error.to_string()))?;
        let ask = Ask {
            signed: false,
            limit: self.0.timeouts.request,
            ..self.with_body(Method::POST, body.into(), MAX_QUERY_ANSWER_BYTES)
        };
        let answer = self.ask(notary, "/_matrix/key/v2/query", &ask).await?;
        KeyQueryResponse::parse(&answer).map_err(|error| ClientError::Malformed(error.to_string()))
    }

    /// Whether a server takes the `state` of a `send_join` answer for a timeline and replays it, so that it needs all of
    /// it. So does the reference Linearized Matrix server, known by its having no `/version` and answering in HTML.
    pub async fn replays_state(&self, server: &ServerName) -> bool {
        let peer = self.peer(server);
        if let Some(known) = peer.replays_state() {
            return known;
        }
        let ask = Ask { signed: false, ..self.get(MAX_VERSION_BYTES) };
        let replays = match self.ask(server, &format!("{FEDERATION}/v1/version"), &ask).await {
            Ok(_) => false,
            Err(ClientError::Refused(refusal)) => refusal.is_unknown_endpoint() && !refusal.is_matrix,
            // Not an answer: asked again the next time.
            Err(_) => return false,
        };
        peer.set_replays_state(replays);
        replays
    }
}
