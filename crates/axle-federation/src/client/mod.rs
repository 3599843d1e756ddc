//! Requests to other servers: one typed method an endpoint.
//!
//! Every method resolves, connects, signs, bounds and times out by itself. How a server wants to be spoken to is found
//! out once and remembered: the draft's paths or the unstable prefix, GET signatures with or without `content`.

mod answer;
mod connection;
mod error;
mod events;
mod groups;
mod invite;
mod keys;
mod media;
mod membership;
mod multipart;
mod open;
pub(crate) mod path;
mod peer;
mod queries;
mod request;
mod send;
mod users;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axle_protocol::{ServerName, SigningKey};
use bytes::Bytes;
use http::Method;
use lru::LruCache;

pub use error::{ClientError, Refusal};
pub use events::{StateAnswer, StateIdsAnswer};
pub use groups::{GroupDevice, GroupNow, GroupState, MAX_GROUP_ANSWER_BYTES};
pub use media::RemoteFile;
pub use membership::SentJoin;
pub use peer::Dialect;
pub use send::{SendAnswer, transaction_body};

use crate::resolve::Resolver;
use peer::Peer;
use request::Ask;

/// Servers whose connections and habits are remembered.
const MAX_PEERS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// How long to wait for other servers.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a TCP connection, and again for TLS.
    pub connect: Duration,
    /// For an ordinary request, from resolving the name to the last byte.
    pub request: Duration,
    /// For one that makes the other server work: transactions, joins, state, history.
    pub long_request: Duration,
    /// A connection without requests is closed after this.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            long_request: Duration::from_secs(90),
            idle: Duration::from_secs(90),
        }
    }
}

/// Speaks to other servers. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    server_name: ServerName,
    keys: Vec<SigningKey>,
    resolver: Resolver,
    tls: Arc<rustls::ClientConfig>,
    timeouts: Timeouts,
    peers: Mutex<LruCache<ServerName, Arc<Peer>>>,
}

impl Client {
    /// A client that speaks for `server_name` and signs with each of `keys`. Must be called inside a tokio runtime.
    pub fn new(
        server_name: ServerName,
        keys: Vec<SigningKey>,
        resolver: Resolver,
        tls: Arc<rustls::ClientConfig>,
        timeouts: Timeouts,
    ) -> Self {
        let peers = Mutex::new(LruCache::new(MAX_PEERS));
        let inner = Arc::new(Inner { server_name, keys, resolver, tls, timeouts, peers });
        let sweeper = Arc::downgrade(&inner);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval((timeouts.idle / 2).max(Duration::from_millis(10)));
            loop {
                ticks.tick().await;
                let Some(inner) = sweeper.upgrade() else { break };
                inner.close_idle();
            }
        });
        Self(inner)
    }

    /// Who it speaks for.
    pub fn server_name(&self) -> &ServerName {
        &self.0.server_name
    }

    /// Which paths a server is known to serve.
    pub fn dialect(&self, server: &ServerName) -> Option<Dialect> {
        self.peer(server).dialect()
    }

    fn peer(&self, server: &ServerName) -> Arc<Peer> {
        let mut peers = self.0.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.get_or_insert(server.clone(), || Arc::new(Peer::new())).clone()
    }

    fn get(&self, max_answer: usize) -> Ask {
        Ask { method: Method::GET, body: None, max_answer, limit: self.0.timeouts.request, signed: true }
    }

    fn long_get(&self, max_answer: usize) -> Ask {
        Ask { limit: self.0.timeouts.long_request, ..self.get(max_answer) }
    }

    fn with_body(&self, method: Method, body: Bytes, max_answer: usize) -> Ask {
        Ask { method, body: Some(body), max_answer, limit: self.0.timeouts.long_request, signed: true }
    }
}

impl Inner {
    fn close_idle(&self) {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, peer) in peers.iter() {
            peer.close_idle(self.timeouts.idle);
        }
    }
}
