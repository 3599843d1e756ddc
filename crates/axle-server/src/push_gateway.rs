//! Requests to push gateways.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use axle_client_api::PushGateway;
use axle_federation::WebClient;
use axle_federation::tls::{ClientTls, ClientTlsConfig};
use bytes::Bytes;
use http::{StatusCode, Uri};

use crate::config::{Config, Network};

/// For one notification, from looking up the gateway's name to the end of its answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer that is read, in bytes: it lists push keys.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Push gateways as the client-server API reaches them.
pub(crate) struct WebGateway {
    allowed_networks: Vec<Network>,
    ca_file: Option<PathBuf>,
    /// Made when it is first needed: most servers push nothing for a while. An error is for good.
    client: OnceLock<Result<WebClient, String>>,
}

impl WebGateway {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            allowed_networks: config.push.allowed_networks.clone(),
            ca_file: config.federation.ca_file.clone(),
            client: OnceLock::new(),
        }
    }

    fn client(&self) -> Result<&WebClient, String> {
        self.client.get_or_init(|| self.connect()).as_ref().map_err(String::clone)
    }

    fn connect(&self) -> Result<WebClient, String> {
        let tls = ClientTls::load(&ClientTlsConfig { extra_ca: self.ca_file.clone(), ..ClientTlsConfig::default() });
        let client = tls
            .map_err(|error| error.to_string())
            .and_then(|tls| WebClient::new(self.allowed_networks.clone(), tls.web).map_err(|error| error.to_string()));
        client.inspect_err(|error| tracing::error!(%error, "no push gateway can be reached"))
    }
}

#[async_trait]
impl PushGateway for WebGateway {
    async fn notify(&self, url: &str, notification: Vec<u8>) -> Result<Vec<u8>, String> {
        let url: Uri = url.parse().map_err(|_| "it has no URL that can be asked".to_owned())?;
        let client = self.client()?;
        let answer = client.post_json(&url, Bytes::from(notification), MAX_ANSWER_BYTES, TIMEOUT).await;
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status {
            StatusCode::OK => Ok(answer.body.into()),
            status => Err(format!("it answered {status}")),
        }
    }
}
