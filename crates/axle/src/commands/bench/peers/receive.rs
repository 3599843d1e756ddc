//! The receiving side: TLS, HTTP/2, keys, and a count of the events that came.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axle_protocol::UserId;
use axle_protocol::signing::server_keys;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use axum::{Json, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{FIRST_USER, Peer};

/// The longest that a benchmark waits for its events.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it looks.
const POLL: Duration = Duration::from_millis(2);
/// Larger than any transaction.
const MAX_BODY: usize = 16 << 20;
/// How long published keys are valid.
const KEYS_VALID: Duration = Duration::from_secs(12 * 3600);

/// How many events each server has got.
pub(super) struct Counts(Arc<HashMap<String, AtomicU64>>);

impl Counts {
    /// Waits until every server has got this many.
    pub(super) async fn wait(&self, events: u64) -> Result<Option<Duration>, Box<dyn Error>> {
        let started = tokio::time::Instant::now();
        loop {
            let least = self.0.values().map(|count| count.load(Ordering::Relaxed)).min().unwrap_or(0);
            if least >= events {
                return Ok(None);
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("only {least} of {events} events arrived").into());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

struct Shared {
    peers: Arc<Vec<Peer>>,
    counts: Arc<HashMap<String, AtomicU64>>,
}

pub(super) async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).await
}

/// Answers requests from now on.
pub(super) fn listen(
    listener: TcpListener,
    cert: &Path,
    key: &Path,
    peers: Arc<Vec<Peer>>,
) -> Result<Counts, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));

    let counts = peers.iter().map(|peer| (peer.name.to_string(), AtomicU64::new(0))).collect();
    let counts = Arc::new(counts);
    let shared = Arc::new(Shared { peers, counts: Arc::clone(&counts) });
    let layer = axum::extract::DefaultBodyLimit::max(MAX_BODY);
    let app = Router::new().fallback(any(respond)).layer(layer).with_state(shared);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, app) = (acceptor.clone(), app.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = TowerToHyperService::new(app);
                // A connection that breaks is the hub's to open again.
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(Counts(counts))
}

async fn respond(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let authority = uri.authority().map(|authority| authority.as_str().to_owned());
    let host = headers.get("host").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let name = authority.or(host).unwrap_or_default();
    if uri.path() == "/_matrix/key/v2/server" {
        return keys(&shared, &name);
    }
    if uri.path().contains("/send/") {
        return transaction(&shared, &name, &body);
    }
    let error = serde_json::json!({"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"});
    (StatusCode::NOT_FOUND, Json(error)).into_response()
}

fn keys(shared: &Shared, name: &str) -> Response {
    let Some(peer) = shared.peers.iter().find(|peer| peer.name.as_str() == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let valid_until = (now + KEYS_VALID).as_millis() as i64;
    let keys = std::slice::from_ref(&peer.key);
    Json(server_keys::publish(&peer.name, valid_until, true, keys, &BTreeMap::new())).into_response()
}

#[derive(Deserialize)]
struct Transaction {
    #[serde(default)]
    pdus: Vec<Pdu>,
}

#[derive(Deserialize)]
struct Pdu {
    sender: UserId,
    #[serde(rename = "type")]
    event_type: String,
}

impl Pdu {
    /// Whether it is of the load, not of the setting up: every server's first user joins then.
    fn counts(&self) -> bool {
        self.event_type != "m.room.member" || self.sender.localpart() != FIRST_USER
    }
}

fn transaction(shared: &Shared, name: &str, body: &[u8]) -> Response {
    match (serde_json::from_slice::<Transaction>(body), shared.counts.get(name)) {
        (Ok(transaction), Some(count)) => {
            let events = transaction.pdus.iter().filter(|pdu| pdu.counts()).count();
            count.fetch_add(events as u64, Ordering::Relaxed);
            Json(serde_json::json!({})).into_response()
        }
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}
