//! A server called `hub.test` with every endpoint on a TLS socket, a service that remembers what reached it, and peers
//! that publish keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axle_federation::client::Timeouts;
use axle_federation::endpoints::{EndpointsConfig, Federation, router};
use axle_federation::keys::KeyRingConfig;
use axle_protocol::signing::server_keys::{OldKey, publish};
use axle_protocol::{SigningKey, canonical_json};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::service::Recorder;
use crate::support::{Answer, Ask, Ca, Hands, KeyServer, Server, Store, client, connect, key, name, ring, timeouts};

pub const HUB: &str = "hub.test";
/// The peer that most requests come from.
pub const PEER: &str = "a.test";
const OTHER: &str = "b.test";
/// The paths that implementations use today.
pub const UNSTABLE: &str = "/_matrix/federation/unstable/org.matrix.i-d.ralston-mimi-linearized-matrix.02";

pub struct World {
    pub ca: Ca,
    pub hands: Hands,
    pub store: Store,
    pub service: Arc<Recorder>,
    pub server: Server,
    pub peer_keys: KeyServer,
    _other_keys: KeyServer,
}

impl World {
    pub async fn new() -> Self {
        Self::with(EndpointsConfig { rate_limit: None, ..EndpointsConfig::default() }).await
    }

    pub async fn with(config: EndpointsConfig) -> Self {
        let (ca, hands, store) = (Ca::new(), Hands::new(), Store::new());
        let peer_keys = KeyServer::start(&ca, PEER, Some(keys_of(PEER, &hands, &[key(2)], &[]))).await;
        let other_keys = KeyServer::start(&ca, OTHER, Some(keys_of(OTHER, &hands, &[key(3)], &[]))).await;
        let servers = [(PEER, peer_keys.address()), (OTHER, other_keys.address())];
        let quick = Timeouts { connect: Duration::from_secs(5), ..timeouts() };
        let client = client(&ca, HUB, 1, &servers, quick);
        let keys = ring(HUB, 1, client, &store, &hands, KeyRingConfig::default());
        let service = Arc::new(Recorder::default());
        let federation = Federation::new(config, service.clone(), store.store.clone(), keys, hands.clock());
        let federation = federation.with_users(service.clone()).with_groups(service.clone());
        let server = Server::start(Some(ca.server(&[HUB]).config()), router(federation)).await;
        Self { ca, hands, store, service, server, peer_keys, _other_keys: other_keys }
    }

    /// A connection to the server.
    pub async fn connect(&self) -> TlsStream<TcpStream> {
        connect(&self.ca, HUB, self.server.address).await
    }

    /// Sends a request on a connection of its own.
    pub async fn send(&self, ask: Ask) -> Answer {
        ask.send(&self.ca, HUB, self.server.address).await
    }

    /// A GET of the peer's.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Ask::get(path).signed()).await
    }

    /// A request of the peer's with a body.
    pub async fn call(&self, method: &'static str, path: &str, body: &Value) -> Answer {
        self.send(Ask::with(method, path, body.to_string()).signed()).await
    }
}

/// What a server publishes about its keys for an hour.
pub fn keys_of(server: &str, hands: &Hands, current: &[SigningKey], old: &[(SigningKey, i64)]) -> String {
    let old: BTreeMap<_, _> = old
        .iter()
        .map(|(key, expired_ts)| (key.id().clone(), OldKey { key: key.verify_key(), expired_ts: *expired_ts }))
        .collect();
    canonical_json::object_to_string(&publish(&name(server), hands.now() + 3_600_000, true, current, &old))
}

impl Ask {
    /// Signed by the peer, as it should be.
    pub fn signed(self) -> Self {
        self.signed_by(PEER, HUB, &key(2))
    }
}
