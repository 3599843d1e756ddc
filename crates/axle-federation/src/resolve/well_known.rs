//! `GET https://<host>/.well-known/matrix/server`: an ordinary HTTPS request, redirects followed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axle_protocol::ServerName;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode, Uri};

use super::cache::Entry;
use super::dns::Dns;
use crate::web::{self, WebError};

/// The largest answer that is read.
pub const MAX_WELL_KNOWN_BYTES: usize = 51_200;
/// Redirects that are followed.
pub const MAX_REDIRECTS: usize = 10;
/// The whole exchange, with all redirects.
pub const WELL_KNOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Fetches and judges `.well-known` answers.
pub(super) struct WellKnown {
    tls: Arc<rustls::ClientConfig>,
    port: u16,
}

impl WellKnown {
    /// `port` is 443, except in test networks.
    pub(super) fn new(tls: Arc<rustls::ClientConfig>, port: u16) -> Self {
        Self { tls, port }
    }

    /// How an ordinary HTTPS request is encrypted.
    pub(super) fn tls(&self) -> &Arc<rustls::ClientConfig> {
        &self.tls
    }

    /// What the host says, as an entry for the cache.
    pub(super) async fn fetch(&self, dns: &Dns, host: &str, previous: Option<&Entry>) -> Entry {
        let outcome = match tokio::time::timeout(WELL_KNOWN_TIMEOUT, self.try_fetch(dns, host)).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no answer in time".into()),
        };
        match outcome {
            Ok((delegated, headers)) => {
                let cache_control = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
                Entry::valid(delegated, cache_control, Instant::now())
            }
            Err(failure) => {
                tracing::debug!(host, error = %failure, "no valid .well-known/matrix/server");
                Entry::invalid(previous, Instant::now())
            }
        }
    }

    async fn try_fetch(&self, dns: &Dns, host: &str) -> Result<(ServerName, HeaderMap), WebError> {
        let authority = if self.port == 443 { host.to_owned() } else { format!("{host}:{}", self.port) };
        let mut uri: Uri = format!("https://{authority}/.well-known/matrix/server")
            .parse()
            .map_err(|_| "the host does not fit into a URL")?;
        let mut seen = HashSet::new();
        for _ in 0..=MAX_REDIRECTS {
            if !seen.insert(uri.to_string()) {
                return Err("the redirects go in a circle".into());
            }
            let answer = web::get(dns, &self.tls, &uri).await?;
            if answer.head.status == StatusCode::OK {
                let answer = answer.read(MAX_WELL_KNOWN_BYTES).await?;
                return Ok((delegation(&answer.body).ok_or("no valid m.server")?, answer.headers));
            }
            uri = match web::redirected(&uri, &answer.head) {
                Some(uri) => uri,
                None if answer.head.status.is_redirection() => return Err("a redirect to no https URL".into()),
                None => return Err(WebError::Answer(format!("status {}", answer.head.status))),
            };
        }
        Err("too many redirects".into())
    }
}

/// `m.server`, whatever the content type.
fn delegation(body: &[u8]) -> Option<ServerName> {
    #[derive(serde::Deserialize)]
    struct Answer {
        #[serde(rename = "m.server")]
        server: ServerName,
    }
    serde_json::from_slice::<Answer>(body).ok().map(|answer| answer.server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delegations() {
        let parse = |body: &str| delegation(body.as_bytes()).map(|name| name.to_string());
        assert_eq!(parse(r#"{"m.server":"d.example.org:8448","x":1}"#).as_deref(), Some("d.example.org:8448"));
        let invalid = [
            "",
            "{}",
            "[]",
            "<html>",
            r#"{"m.server":1}"#,
            r#"{"m.server":""}"#,
            r#"{"m.server":"a b"}"#,
            r#"{"m.server":"10.0.0.1:8448"}"#,
            r#"{"m.server":"https://d.example.org"}"#,
            r#"{"m.server":"d.example.org:99999"}"#,
        ];
        for body in invalid {
            assert_eq!(parse(body), None, "{body}");
        }
    }
}
