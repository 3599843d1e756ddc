//! Requests to push gateways.

use std::time::Duration;

use async_trait::async_trait;
use axle_client_api::PushGateway;
use bytes::Bytes;
use http::{StatusCode, Uri};

use crate::config::Config;
use crate::web::LazyWebClient;

/// For one notification, from looking up the gateway's name to the end of its answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer that is read, in bytes: it lists push keys.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Push gateways as the client-server API reaches them.
pub(crate) struct WebGateway(LazyWebClient);

impl WebGateway {
    pub(crate) fn new(config: &Config) -> Self {
        Self(LazyWebClient::new(&config.push.allowed_networks, config))
    }
}

#[async_trait]
impl PushGateway for WebGateway {
    async fn notify(&self, url: &str, notification: Vec<u8>) -> Result<Vec<u8>, String> {
        let url: Uri = url.parse().map_err(|_| "it has no URL that can be asked".to_owned())?;
        let client = self.0.get()?;
        let answer = client.post_json(&url, Bytes::from(notification), MAX_ANSWER_BYTES, TIMEOUT).await;
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status {
            StatusCode::OK => Ok(answer.body.into()),
            status => Err(format!("it answered {status}")),
        }
    }
}
