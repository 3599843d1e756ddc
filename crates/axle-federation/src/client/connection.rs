//! One connection to a server, HTTP/2 or HTTP/1.1.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::ClientError;
use crate::connect;
use crate::resolve::{Scheme, Target};

/// What requests carry.
pub(super) type Body = Full<Bytes>;

/// A connection with requests under way is asked for a sign of life.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// And given up when there is none.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(15);
/// Large answers arrive without waiting for the window to open.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// The headers of one answer.
const MAX_HEADER_BYTES: u32 = 64 * 1024;

/// An open connection.
pub(super) struct Connection {
    kind: Kind,
    host: Arc<str>,
    scheme: Scheme,
    pub(super) opened: Instant,
}

enum Kind {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// Why a request got no answer. If the connection was gone before anything was sent, it may be sent again.
pub(super) struct NotAnswered {
    pub(super) error: hyper::Error,
    pub(super) unsent: Option<Request<Body>>,
}

impl Connection {
    /// Connects to a server.
    pub(super) async fn open(
        target: &Target,
        tls: Arc<rustls::ClientConfig>,
        limit: Duration,
    ) -> Result<Self, ClientError> {
        let stream = connect::tcp(&target.addresses, limit).await?;
        let kind = match target.scheme {
            Scheme::Http => http1(stream).await?,
            Scheme::Https => {
                let stream = connect::tls(stream, &target.tls_name, tls, limit).await?;
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => http2(stream).await?,
                    _ => http1(stream).await?,
                }
            }
        };
        Ok(Self { kind, host: target.host_header.as_str().into(), scheme: target.scheme, opened: Instant::now() })
    }

    /// A second handle to a connection that takes several requests at once.
    pub(super) fn share(&self) -> Option<Self> {
        match &self.kind {
            Kind::Http1(_) => None,
            Kind::Http2(sender) => Some(Self {
                kind: Kind::Http2(sender.clone()),
                host: self.host.clone(),
                scheme: self.scheme,
                opened: self.opened,
            }),
        }
    }

    /// Whether it can be used no more.
    pub(super) fn is_closed(&self) -> bool {
        match &self.kind {
            Kind::Http1(sender) => sender.is_closed(),
            Kind::Http2(sender) => sender.is_closed(),
        }
    }

    /// Waits until another request can be sent; `false`: never.
    pub(super) async fn ready(&mut self) -> bool {
        match &mut self.kind {
            Kind::Http1(sender) => sender.ready().await.is_ok(),
            Kind::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends a request, whose URI is nothing but a path.
    pub(super) async fn send(&mut self, mut request: Request<Body>) -> Result<Response<Incoming>, NotAnswered> {
        let path = request.uri().path_and_query().cloned();
        self.address(&mut request, path.as_ref());
        let outcome = match &mut self.kind {
            Kind::Http1(sender) => sender.try_send_request(request).await,
            Kind::Http2(sender) => sender.try_send_request(request).await,
        };
        outcome.map_err(|mut error: TrySendError<_>| NotAnswered {
            unsent: error.take_message().map(|request| strip(request, path)),
            error: error.into_error(),
        })
    }

    /// HTTP/1.1 names the host in a header, HTTP/2 in the URI.
    fn address(&self, request: &mut Request<Body>, path: Option<&PathAndQuery>) {
        match self.kind {
            Kind::Http1(_) => {
                if let Ok(host) = self.host.parse() {
                    request.headers_mut().insert(HOST, host);
                }
            }
            Kind::Http2(_) => {
                let scheme = if self.scheme == Scheme::Https { "https" } else { "http" };
                let uri = Uri::builder().scheme(scheme).authority(&*self.host);
                // Server names and paths were checked before, so this is never an error.
                if let Some(Ok(uri)) = path.map(|path| uri.path_and_query(path.clone()).build()) {
                    *request.uri_mut() = uri;
                }
                *request.version_mut() = Version::HTTP_2;
            }
        }
    }
}

/// The request as it was before it met this connection.
fn strip(mut request: Request<Body>, path: Option<PathAndQuery>) -> Request<Body> {
    request.headers_mut().remove(HOST);
    *request.version_mut() = Version::HTTP_11;
    if let Some(path) = path {
        *request.uri_mut() = Uri::from(path);
    }
    request
}

async fn http1<S>(stream: S) -> Result<Kind, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    drive(connection);
    Ok(Kind::Http1(sender))
}

async fn http2<S>(stream: S) -> Result<Kind, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    drive(connection);
    Ok(Kind::Http2(sender))
}

/// Runs until the last handle is dropped or the peer closes.
fn drive(connection: impl Future<Output = Result<(), hyper::Error>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to another server ended");
        }
    });
}
