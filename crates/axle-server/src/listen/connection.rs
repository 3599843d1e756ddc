//! One connection: TLS, HTTP/2 or HTTP/1.1, idle time, draining.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Watched};
use super::{Api, Service, request};
use crate::config::{LimitsConfig, Network};
use crate::metrics::Metrics;

/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// A transaction of fifty ordinary events fits without waiting for the window to open.
const STREAM_WINDOW: u32 = 1 << 20;
/// All streams of a connection together.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Serves the connections of a listener.
pub(super) struct Connections {
    shared: Arc<Shared>,
    /// Every connection holds a sender: the channel ends with the last of them.
    alive: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
    abort: watch::Sender<bool>,
}

/// What the connections of a listener have in common.
pub(super) struct Shared {
    pub(super) api: Api,
    pub(super) router: Router,
    pub(super) limits: LimitsConfig,
    pub(super) trusted_proxies: Vec<Network>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stop: watch::Receiver<bool>,
    tls: Option<TlsAcceptor>,
    http: Builder<TokioExecutor>,
}

impl Connections {
    pub(super) fn new(service: Service, stop: watch::Receiver<bool>) -> Self {
        let shared = Arc::new(Shared {
            api: service.api,
            http: http(&service.limits),
            router: service.router,
            limits: service.limits,
            trusted_proxies: service.trusted_proxies,
            metrics: service.metrics,
            tls: service.tls.map(TlsAcceptor::from),
            stop,
        });
        let (alive, ended) = mpsc::channel(1);
        Self { shared, alive, ended, abort: watch::channel(false).0 }
    }

    /// Serves a connection until it ends. `held` is kept as long.
    pub(super) fn spawn(&self, stream: TcpStream, peer: SocketAddr, held: impl Send + 'static) {
        let held = (held, self.alive.clone());
        spawn(self.shared.clone(), self.abort.subscribe(), Arrival::InTime, stream, peer, held);
    }

    /// For when the server has been told to stop. The future ends when all connections have, which takes at most
    /// `drain`: then they are cut, late ones at once.
    pub(super) fn drain(self, drain: Duration) -> (LateConnections, impl Future<Output = ()>) {
        let Self { shared, alive, mut ended, abort } = self;
        drop(alive);
        let late = LateConnections { shared, abort: abort.subscribe() };
        let drained = async move {
            if timeout(drain, ended.recv()).await.is_err() {
                tracing::warn!("requests were still in flight when the time to drain was over");
            }
            abort.send_replace(true);
            ended.recv().await;
        };
        (late, drained)
    }
}

/// Serves connections that come while the server drains: whoever asks is told that it stops.
pub(super) struct LateConnections {
    shared: Arc<Shared>,
    abort: watch::Receiver<bool>,
}

impl LateConnections {
    /// Serves a connection until it ends, or the server does.
    pub(super) fn spawn(&self, stream: TcpStream, peer: SocketAddr, held: impl Send + 'static) {
        spawn(self.shared.clone(), self.abort.clone(), Arrival::Late, stream, peer, held);
    }
}

/// When a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    InTime,
    /// While the server drains. It has one request answered.
    Late,
}

fn spawn(
    shared: Arc<Shared>,
    mut abort: watch::Receiver<bool>,
    arrival: Arrival,
    stream: TcpStream,
    peer: SocketAddr,
    held: impl Send + 'static,
) {
    tokio::spawn(async move {
        let metrics = shared.metrics.clone();
        let _open = metrics.connection_opened(shared.api);
        tokio::select! {
            outcome = serve(&shared, arrival, stream, peer) => if let Err(error) = outcome {
                tracing::debug!(%peer, error, "connection failed");
            },
            _ = abort.wait_for(|abort| *abort) => {}
        }
        drop(held);
    });
}

fn http(limits: &LimitsConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout())
        .max_buf_size(limits.header_bytes as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(limits.header_bytes);
    builder
}

async fn serve(shared: &Arc<Shared>, arrival: Arrival, stream: TcpStream, peer: SocketAddr) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let Some(acceptor) = &shared.tls else { return serve_http(shared, arrival, stream, peer).await };
    let handshake = timeout(shared.limits.header_timeout(), acceptor.accept(stream));
    let stream = handshake.await.map_err(|_| "no TLS handshake in time")?.map_err(|error| error.to_string())?;
    serve_http(shared, arrival, stream, peer).await
}

async fn serve_http<S>(shared: &Arc<Shared>, arrival: Arrival, stream: S, peer: SocketAddr) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let stream = TokioIo::new(Watched::new(stream, activity.clone()));
    let answering = activity.clone();
    let asked = Arc::new(Notify::new());
    let asking = asked.clone();
    let service = service_fn(move |request| {
        let (shared, in_flight) = (shared.clone(), answering.begin_request());
        asking.notify_one();
        async move {
            let response = request::answer(&shared, arrival, peer, request).await;
            drop(in_flight);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = shared.http.serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    let mut stop = shared.stop.clone();
    let mut closing = false;
    let mut idle_at = activity.idle_at(shared.limits.idle_timeout());
    loop {
        tokio::select! {
            outcome = connection.as_mut() => return outcome.map_err(|error| error.to_string()),
            () = asked.notified(), if !closing && arrival == Arrival::Late => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = stop.wait_for(|stop| *stop), if !closing && arrival == Arrival::InTime => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep_until(idle_at) => {
                let at = activity.idle_at(shared.limits.idle_timeout());
                // Cut, not asked to close: what does not move does not take a goodbye either.
                if at <= idle_at {
                    return Ok(());
                }
                idle_at = at;
            }
        }
    }
}
