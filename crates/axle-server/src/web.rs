//! Requests to servers of the web, at URLs that come from users.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use axle_client_api::{Web, WebAnswer};
use axle_federation::tls::{ClientTls, ClientTlsConfig};
use axle_federation::{WebClient, WebPart};
use http::{HeaderName, Uri, header};

use crate::config::{Config, Network};

/// For one answer, from looking up the name to the end of it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A client that is made when it is first needed: most servers ask nobody for a while. It connects to public addresses, and
/// in the networks that it was told.
pub(crate) struct LazyWebClient {
    allowed_networks: Vec<Network>,
    ca_file: Option<PathBuf>,
    /// An error is for good.
    client: OnceLock<Result<WebClient, String>>,
}

impl LazyWebClient {
    pub(crate) fn new(allowed_networks: &[Network], config: &Config) -> Self {
        Self {
            allowed_networks: allowed_networks.to_owned(),
            ca_file: config.federation.ca_file.clone(),
            client: OnceLock::new(),
        }
    }

    pub(crate) fn get(&self) -> Result<&WebClient, String> {
        self.client.get_or_init(|| self.connect()).as_ref().map_err(String::clone)
    }

    fn connect(&self) -> Result<WebClient, String> {
        let tls = ClientTls::load(&ClientTlsConfig { extra_ca: self.ca_file.clone(), ..ClientTlsConfig::default() });
        let client = tls
            .map_err(|error| error.to_string())
            .and_then(|tls| WebClient::new(self.allowed_networks.clone(), tls.web).map_err(|error| error.to_string()));
        client.inspect_err(|error| tracing::error!(%error, "no server of the web can be reached"))
    }
}

/// The web as previews of URLs reach it.
pub(crate) struct PreviewWeb(LazyWebClient);

impl PreviewWeb {
    pub(crate) fn new(config: &Config) -> Self {
        Self(LazyWebClient::new(&config.url_previews.allowed_networks, config))
    }
}

#[async_trait]
impl Web for PreviewWeb {
    async fn get(&self, url: &str, accept: &'static str, max_bytes: usize) -> Result<WebAnswer, String> {
        let url: Uri = url.parse().map_err(|_| "it has no URL that can be asked".to_owned())?;
        let part = self.0.get()?.get(&url, accept, max_bytes, TIMEOUT).await;
        let WebPart { answer, is_whole } = part.map_err(|error| error.to_string())?;
        let text = |name: HeaderName| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(WebAnswer {
            status: answer.status.as_u16(),
            location: text(header::LOCATION),
            content_type: text(header::CONTENT_TYPE),
            content_encoding: text(header::CONTENT_ENCODING),
            body: answer.body,
            is_whole,
        })
    }
}
