//! Servers that publish keys, and key rings that fetch them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use axle_federation::Clock;
use axle_federation::client::Client;
use axle_federation::keys::{KeyRing, KeyRingConfig, OwnKeys};
use axle_store::sqlite::{Options, SqliteStore};
use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;
use tempfile::TempDir;

use super::{Ca, Server, key, name};

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub struct Hands(Arc<AtomicI64>);

impl Hands {
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_700_000_000_000)))
    }

    pub fn clock(&self) -> Clock {
        let hands = self.0.clone();
        Arc::new(move || hands.load(Ordering::SeqCst))
    }

    pub fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

pub fn own_keys(server: &str, seed: u8) -> OwnKeys {
    OwnKeys { server_name: name(server), current: vec![key(seed)], old: Default::default(), linearized: true }
}

pub struct Store {
    pub store: Arc<SqliteStore>,
    _folder: TempDir,
}

impl Store {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = SqliteStore::open(folder.path().join("axle.db"), Options::default()).unwrap();
        Self { store: Arc::new(store), _folder: folder }
    }
}

pub fn ring(server: &str, seed: u8, client: Client, store: &Store, hands: &Hands, config: KeyRingConfig) -> KeyRing {
    KeyRing::new(config, own_keys(server, seed), store.store.clone(), client, hands.clock())
}

/// A server that publishes a fixed response about its keys, or fails.
pub struct KeyServer {
    pub server: Server,
    pub asked: Arc<AtomicUsize>,
    response: Arc<std::sync::Mutex<Option<String>>>,
}

impl KeyServer {
    pub async fn start(ca: &Ca, server: &str, response: Option<String>) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let response = Arc::new(std::sync::Mutex::new(response));
        let (counter, text) = (asked.clone(), response.clone());
        let answer = move || async move {
            counter.fetch_add(1, Ordering::SeqCst);
            match text.lock().unwrap().clone() {
                Some(text) => text.into_response(),
                None => StatusCode::BAD_GATEWAY.into_response(),
            }
        };
        let router = Router::new().route("/_matrix/key/v2/server", get(answer));
        let server = Server::start(Some(ca.server(&[server]).config()), router).await;
        Self { server, asked, response }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn publish(&self, response: Option<String>) {
        *self.response.lock().unwrap() = response;
    }
}
