//! Listeners: from a socket to a request with its limits, and back to silence when the server stops.

mod activity;
mod body;
mod certificates;
mod connection;
mod per_address;
mod request;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

pub use certificates::Certificates;
pub(crate) use request::{HEALTH, label, refusal};

use crate::config::{LimitsConfig, Network};
use crate::metrics::Metrics;
use connection::Connections;
use per_address::PerAddress;

/// After an error of `accept` (usually: no file descriptors left), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// Which API a listener serves; the label of its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Client-server.
    Client,
    /// Server-to-server.
    Federation,
}

impl Api {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Federation => "federation",
        }
    }
}

/// What a listener does with its connections.
pub struct Service {
    /// Which API.
    pub api: Api,
    /// The endpoints.
    pub router: Router,
    /// With TLS or without.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Limits.
    pub limits: LimitsConfig,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// A bound socket, not served yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// A listener that is being served.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Bound {
    /// Takes an address. Port 0 takes any free port.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
        };
        // A restarted server must not wait until the connections of the one before have timed out.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` holds `true`; then requests in flight have [`LimitsConfig::drain`] to end.
    pub fn serve(self, service: Service, stop: watch::Receiver<bool>) -> Running {
        let address = self.address;
        Running { address, task: tokio::spawn(run(self.listener, service, stop)) }
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends when the listener has been told to stop and its connections are closed.
    pub async fn finished(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a listener failed");
        }
    }
}

async fn run(listener: TcpListener, service: Service, mut stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(service.limits.max_connections as usize));
    let per_address = PerAddress::new(service.limits.max_connections_per_address);
    let drain = service.limits.drain();
    let connections = Connections::new(service, stop.clone());
    // The next connection that may be served, with what it holds on to.
    let accept = async || loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            Ok((stream, peer)) => match per_address.enter(peer.ip()) {
                Some(entry) => return (stream, peer, (permit, entry)),
                None => tracing::debug!(%peer, "too many connections from this address"),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    };
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            (stream, peer, held) = accept() => connections.spawn(stream, peer, held),
        }
    }
    let (late, drained) = connections.drain(drain);
    let mut drained = std::pin::pin!(drained);
    loop {
        tokio::select! {
            () = &mut drained => break,
            (stream, peer, held) = accept() => late.spawn(stream, peer, held),
        }
    }
}
