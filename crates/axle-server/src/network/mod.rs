//! Puts `axle-federation` behind what the rooms need of the network.

mod keys;
mod offline;
mod peers;

use std::sync::Arc;

use axle_federation::client::{Client, Timeouts};
use axle_federation::keys::{KeyRing, KeyRingConfig, OwnKeys};
use axle_federation::resolve::{ResolveError, Resolver, ResolverConfig};
use axle_federation::system_clock;
use axle_federation::tls::{ClientTls, ClientTlsConfig, TlsError};
use axle_store::Store;

use crate::config::Config;
use crate::key_file::SigningKeys;
pub(crate) use keys::FederationKeys;
pub(crate) use offline::Offline;
pub(crate) use peers::FederationPeers;

/// The way to other servers.
pub(crate) struct Network {
    /// Sends requests.
    pub(crate) client: Client,
    /// Knows keys.
    pub(crate) keys: KeyRing,
}

/// Why there is no way to other servers.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Certificate authorities.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Name resolution.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

impl Network {
    /// What the configuration says, ready to be used. Must be called inside a tokio runtime.
    pub(crate) fn new(config: &Config, own: &SigningKeys, store: Arc<dyn Store>) -> Result<Self, NetworkError> {
        let federation = &config.federation;
        let tls = ClientTls::load(&ClientTlsConfig { extra_ca: federation.ca_file.clone(), ..Default::default() })?;
        let resolver = Resolver::new(
            ResolverConfig {
                overrides: federation.overrides.clone().into_iter().collect(),
                plain_http: federation.plain_http_peers.iter().cloned().collect(),
                allowed_networks: federation.allowed_networks.clone(),
                ..Default::default()
            },
            tls.web,
        )?;
        let name = &config.server_name;
        let client =
            Client::new(name.clone(), vec![own.current.clone()], resolver, tls.federation, Timeouts::default());
        let own = OwnKeys {
            server_name: name.clone(),
            current: vec![own.current.clone()],
            old: own.old.clone(),
            linearized: federation.linearized,
        };
        let ring = KeyRingConfig { notaries: federation.notaries.clone(), ..Default::default() };
        let keys = KeyRing::new(ring, own, store, client.clone(), system_clock());
        Ok(Self { client, keys })
    }
}
