//! Puts `axle-federation` behind what the rooms need of the network.

mod keys;
mod offline;
mod outbound;
mod peers;
mod remote;

use std::sync::Arc;
use std::time::Duration;

use axle_client_api::RemoteServers;
use axle_federation::client::{Client, Timeouts};
use axle_federation::endpoints::{EndpointsConfig, Federation, RateLimit, routes};
use axle_federation::keys::{KeyRing, KeyRingConfig, OwnKeys};
use axle_federation::resolve::{ResolveError, Resolver, ResolverConfig};
use axle_federation::sender::Sender;
use axle_federation::tls::{ClientTls, ClientTlsConfig, TlsError};
use axle_federation::{QueryService, UserService, system_clock};
use axle_room::Identity;
use axle_store::{Store, StoreError};
use axum::Router;

use crate::config::Config;
use crate::key_file::SigningKeys;
use crate::rooms::{Rooms, RoomsConfig};
use keys::FederationKeys;
pub(crate) use offline::Nobody;
use offline::Offline;
use outbound::{FederationOutbound, RoomsBehindQueues};
use peers::FederationPeers;
use remote::FederationRemote;

/// What transactions in flight have to end when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The way to other servers and back.
pub(crate) struct Network {
    client: Client,
    keys: KeyRing,
    sender: Sender,
    outbound: Arc<FederationOutbound>,
    rooms: Rooms,
    store: Arc<dyn Store>,
    endpoints: EndpointsConfig,
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
    /// No random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The rooms, with the network that the configuration describes; `None`: federation is off.
pub(crate) fn connect(
    config: &Config,
    own: &SigningKeys,
    store: &Arc<dyn Store>,
) -> Result<(Rooms, Option<Network>), NetworkError> {
    let me = Identity { name: config.server_name.clone(), key: own.current.clone() };
    let default_version = config.rooms.default_version;
    if !config.serves_federation() {
        let offline = Arc::new(Offline::new(me.name.clone(), &me.key));
        let (keys, peers, store) = (offline.clone(), offline.clone(), store.clone());
        let rooms = Rooms::new(RoomsConfig { me, default_version, store, keys, peers, outbound: offline });
        return Ok((rooms, None));
    }
    let client = client(config, own)?;
    let keys = key_ring(config, own, store.clone(), client.clone());
    let outbound = Arc::new(FederationOutbound::default());
    let rooms = Rooms::new(RoomsConfig {
        me,
        default_version,
        store: store.clone(),
        keys: Arc::new(FederationKeys(keys.clone())),
        peers: Arc::new(FederationPeers(client.clone())),
        outbound: outbound.clone(),
    });
    let sender = Sender::new(client.clone(), store.clone(), Arc::new(RoomsBehindQueues(rooms.clone())), boot()?);
    outbound.connect(sender.clone());
    let endpoints = EndpointsConfig {
        rate_limit: config.rate_limits.enabled.then(RateLimit::default),
        well_known: config.federation.well_known.clone(),
    };
    let network = Network { keys, client, sender, outbound, rooms: rooms.clone(), store: store.clone(), endpoints };
    Ok((rooms, Some(network)))
}

impl Network {
    /// The server-to-server API: for these users, with these answers.
    pub(crate) fn router(&self, users: Arc<dyn UserService>, queries: Arc<dyn QueryService>) -> Router {
        let (service, groups) = (Arc::new(self.rooms.clone()), Arc::new(self.rooms.clone()));
        let (store, keys, sender) = (self.store.clone(), self.keys.clone(), self.sender.clone());
        let federation = Federation::new(self.endpoints.clone(), service, store, keys, system_clock());
        let federation = federation.with_users(users).with_groups(groups).answering(queries);
        routes(federation.on_heard_from(Box::new(move |server| sender.heard_of(server))))
    }

    /// What asks other servers.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Other servers, for what local users want to know from them.
    pub(crate) fn remote(&self) -> Arc<dyn RemoteServers> {
        Arc::new(FederationRemote { client: self.client.clone(), rooms: self.rooms.clone() })
    }

    /// The queues towards other servers.
    pub(crate) fn queues(&self) -> Sender {
        self.sender.clone()
    }

    /// Goes on with what a restart interrupted.
    pub(crate) async fn resume(&self) -> Result<(), StoreError> {
        self.sender.resume().await
    }

    /// Ends the queues. What they have not delivered is delivered after the next start.
    pub(crate) async fn stop(self) {
        self.sender.stop(STOP_LIMIT).await;
        self.outbound.disconnect();
    }
}

fn client(config: &Config, own: &SigningKeys) -> Result<Client, NetworkError> {
    let federation = &config.federation;
    let tls = ClientTls::load(&ClientTlsConfig { extra_ca: federation.ca_file.clone(), ..Default::default() })?;
    let resolver = ResolverConfig {
        overrides: federation.overrides.clone().into_iter().collect(),
        plain_http: federation.plain_http_peers.iter().cloned().collect(),
        allowed_networks: federation.allowed_networks.clone(),
        ..Default::default()
    };
    let resolver = Resolver::new(resolver, tls.web)?;
    let keys = vec![own.current.clone()];
    Ok(Client::new(config.server_name.clone(), keys, resolver, tls.federation, Timeouts::default()))
}

fn key_ring(config: &Config, own: &SigningKeys, store: Arc<dyn Store>, client: Client) -> KeyRing {
    let own = OwnKeys {
        server_name: config.server_name.clone(),
        current: vec![own.current.clone()],
        old: own.old.clone(),
        linearized: config.federation.linearized,
    };
    let ring = KeyRingConfig { notaries: config.federation.notaries.clone(), ..Default::default() };
    KeyRing::new(ring, own, store, client, system_clock())
}

/// What tells the transaction ids of this start from those of all others.
pub(crate) fn boot() -> Result<String, NetworkError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(NetworkError::Random)?;
    Ok(format!("{:016x}", u64::from_be_bytes(random)))
}
