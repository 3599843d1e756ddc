//! `GET https://<host>/.well-known/matrix/server`: an ordinary HTTPS request, redirects followed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axle_protocol::ServerName;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, LOCATION};
use http::uri::Scheme;
use http::{HeaderMap, Request, StatusCode, Uri};

use super::cache::Entry;
use super::dns::Dns;
use crate::web::{self, WebAnswer, WebError};

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

/// Why there is no valid answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Web(#[from] WebError),
    #[error("{0}")]
    Answer(String),
}

impl WellKnown {
    /// `port` is 443, except in test networks.
    pub(super) fn new(tls: Arc<rustls::ClientConfig>, port: u16) -> Self {
        Self { tls, port }
    }

    /// What the host says, as an entry for the cache.
    pub(super) async fn fetch(&self, dns: &Dns, host: &str, previous: Option<&Entry>) -> Entry {
        let outcome = match tokio::time::timeout(WELL_KNOWN_TIMEOUT, self.try_fetch(dns, host)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Answer("no answer in time".into())),
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

    async fn try_fetch(&self, dns: &Dns, host: &str) -> Result<(ServerName, HeaderMap), Failure> {
        let bad = |text: &str| Failure::Answer(text.to_owned());
        let authority = if self.port == 443 { host.to_owned() } else { format!("{host}:{}", self.port) };
        let mut uri: Uri = format!("https://{authority}/.well-known/matrix/server")
            .parse()
            .map_err(|_| bad("the host does not fit into a URL"))?;
        let mut seen = HashSet::new();
        for _ in 0..=MAX_REDIRECTS {
            if !seen.insert(uri.to_string()) {
                return Err(bad("the redirects go in a circle"));
            }
            let request = Request::get(web::path(&uri));
            let answer = web::exchange(dns, &self.tls, &uri, request, Bytes::new(), MAX_WELL_KNOWN_BYTES).await?;
            let WebAnswer { status, headers, body } = answer;
            if status == StatusCode::OK {
                return Ok((delegation(&body).ok_or_else(|| bad("no valid m.server"))?, headers));
            }
            let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
            uri = match location.filter(|_| status.is_redirection()) {
                Some(location) => redirect(&uri, location).ok_or_else(|| bad("a redirect to no https URL"))?,
                None => return Err(Failure::Answer(format!("status {status}"))),
            };
        }
        Err(bad("too many redirects"))
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

/// Where a redirect leads. Only to https: otherwise whoever sits on the wire could choose the delegated name.
fn redirect(from: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let authority = from.authority()?;
    let target = if let Some(rest) = location.strip_prefix("//") {
        format!("https://{rest}")
    } else if location.starts_with('/') {
        format!("https://{authority}{location}")
    } else if location.contains("://") {
        location.to_owned()
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("https://{authority}{folder}/{location}")
    };
    let uri: Uri = target.parse().ok()?;
    let authority = uri.authority()?;
    (uri.scheme() == Some(&Scheme::HTTPS) && !authority.as_str().contains('@')).then_some(uri)
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

    #[test]
    fn redirects() {
        let from: Uri = "https://example.org/.well-known/matrix/server".parse().unwrap();
        let to = |location: &str| redirect(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("https://b.example/x?y#z").as_deref(), Some("https://b.example/x?y"));
        assert_eq!(to("/x").as_deref(), Some("https://example.org/x"));
        assert_eq!(to("//b.example/x").as_deref(), Some("https://b.example/x"));
        assert_eq!(to("other").as_deref(), Some("https://example.org/.well-known/matrix/other"));
        for location in ["http://b.example/x", "ftp://b.example", "https://u:p@b.example/", "https://", "javascript:1"]
        {
            let uri = to(location);
            assert!(uri.is_none() || location == "javascript:1", "{location} -> {uri:?}");
        }
    }
}
