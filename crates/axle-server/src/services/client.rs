//! Requests to application services, over HTTP.

use std::sync::Arc;

use async_trait::async_trait;
use axle_client_api::{ApplicationServices, ServiceAnswer, ServiceCall, ServiceCallError, ServiceClient};
use http::header;
use reqwest::{Client, Url, redirect};
use rustls::{ClientConfig, RootCertStore};

/// The most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// A client for application services. Their addresses come from the operator: private ones are as good as any.
pub(crate) struct HttpServices(Client);

impl HttpServices {
    /// For these. The text says why there can be none.
    pub(crate) fn new(services: &ApplicationServices) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        if services.iter().any(|service| service.url.as_ref().is_some_and(|url| url.starts_with("https:"))) {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .use_preconfigured_tls(tls)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self(client))
    }
}

#[async_trait]
impl ServiceClient for HttpServices {
    async fn call(&self, call: ServiceCall) -> Result<ServiceAnswer, ServiceCallError> {
        let limit = call.timeout;
        tokio::time::timeout(limit, make(&self.0, call)).await.map_err(|_| ServiceCallError::Timeout)?
    }
}

async fn make(client: &Client, call: ServiceCall) -> Result<ServiceAnswer, ServiceCallError> {
    let ServiceCall { url, token, method, path, query, body, .. } = call;
    let url = address(&url, &path, &query).ok_or_else(|| ServiceCallError::Failed("its url is none".into()))?;
    let mut request = client.request(method, url).bearer_auth(token);
    if let Some(body) = body {
        request = request.header(header::CONTENT_TYPE, "application/json").body(body);
    }
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if body.len() + piece.len() > MAX_ANSWER_BYTES {
            return Err(ServiceCallError::Failed(format!("its answer has more than {MAX_ANSWER_BYTES} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(ServiceAnswer { status, body })
}

fn address(base: &str, path: &[String], query: &[(String, String)]) -> Option<Url> {
    let mut url = Url::parse(base).ok()?;
    url.path_segments_mut().ok()?.pop_if_empty().extend(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Some(url)
}

/// What went wrong, to its cause: the outermost error only says that a request failed.
fn failed(error: reqwest::Error) -> ServiceCallError {
    let error = error.without_url();
    let mut source: &dyn std::error::Error = &error;
    let mut text = error.to_string();
    while let Some(next) = source.source() {
        text = format!("{text}: {next}");
        source = next;
    }
    ServiceCallError::Failed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_encoded_in_paths() {
        let path = |last: &str| ["_matrix", "rooms", last].map(str::to_owned);
        let url = |base: &str, last: &str| address(base, &path(last), &[]).unwrap().to_string();
        assert_eq!(url("http://localhost:1", "#a b:x"), "http://localhost:1/_matrix/rooms/%23a%20b:x");
        assert_eq!(url("http://localhost:1/", "a/b?c"), "http://localhost:1/_matrix/rooms/a%2Fb%3Fc");
        assert_eq!(url("http://localhost/below/", "x"), "http://localhost/below/_matrix/rooms/x");
        let query = [("alias".to_owned(), "#a&b".to_owned())];
        assert_eq!(address("http://x", &path("y"), &query).unwrap().query(), Some("alias=%23a%26b"));
    }
}
