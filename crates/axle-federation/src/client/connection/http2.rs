//! HTTP/2: many requests at a time.
//!
//! Without hyper, which hands the body over only when the peer's window is known to have room for it, and by then the
//! headers are on the wire: two TLS records, two system calls and two wakes of the peer for each request. `h2` takes the
//! body at once and writes both together.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::{Connection, SendRequest};
use h2::{Ping, PingPong, Reason, RecvStream};
use http::header::CONTENT_LENGTH;
use http::uri::{Authority, Scheme};
use http::{Request, Uri, Version, response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use super::{Answer, NotAnswered};
use crate::client::ClientError;

/// Large answers arrive without waiting for the window to open.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// The headers of one answer.
const MAX_HEADER_BYTES: u32 = 64 * 1024;
const KEEP_ALIVE: KeepAlive = KeepAlive { interval: Duration::from_secs(30), timeout: Duration::from_secs(15) };

/// When a peer is taken for dead.
#[derive(Clone, Copy)]
struct KeepAlive {
    /// A connection with requests under way is asked for a sign of life.
    interval: Duration,
    /// And given up when there is none.
    timeout: Duration,
}

/// A handle to a connection. The connection ends with the last handle and the last request.
#[derive(Clone)]
pub(super) struct Http2 {
    sender: SendRequest<Bytes>,
    authority: Authority,
    pulse: Arc<Pulse>,
}

/// What requests and the keep-alive tell each other.
struct Pulse {
    keep_alive: KeepAlive,
    requests: AtomicUsize,
    /// The peer was asked for a sign of life and gave none.
    silent: AtomicBool,
}

impl Http2 {
    /// Begins on a fresh TLS stream; `host` is what requests say in `:authority`.
    pub(super) async fn open<S>(stream: S, host: &str) -> Result<Self, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::open_with(stream, host, KEEP_ALIVE).await
    }

    async fn open_with<S>(stream: S, host: &str, keep_alive: KeepAlive) -> Result<Self, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let authority = host.parse().map_err(|_| ClientError::Request(format!("{host:?} cannot be in a URI")))?;
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_BYTES);
        let (sender, connection) = builder.handshake(stream).await?;
        let pulse = Arc::new(Pulse { keep_alive, requests: AtomicUsize::new(0), silent: AtomicBool::new(false) });
        tokio::spawn(drive(connection, pulse.clone()));
        Ok(Self { sender, authority, pulse })
    }

    /// Whether the connection broke, or the peer wants no more requests on it.
    pub(super) fn is_closed(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(self.sender.poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    /// Dropped before its end, it resets its stream.
    pub(super) async fn exchange(&mut self, request: Request<Bytes>, max_answer: usize) -> Result<Answer, NotAnswered> {
        let (head, mut body) = self.ask(request).await?;
        let mut content = BytesMut::new();
        while let Some(piece) = body.next().await.map_err(NotAnswered::maybe_sent)? {
            if piece.len() > max_answer - content.len() {
                return Err(NotAnswered::maybe_sent(ClientError::TooLarge(max_answer)));
            }
            content.extend_from_slice(&piece);
        }
        Ok(Answer { head, body: content.freeze() })
    }

    /// Sends a request; the body of the answer is still to be read.
    pub(super) async fn ask(&mut self, request: Request<Bytes>) -> Result<(response::Parts, Body), NotAnswered> {
        if let Err(error) = poll_fn(|context| self.sender.poll_ready(context)).await {
            return Err(NotAnswered { error: self.pulse.diagnose(error.into()), unsent: Some(request) });
        }
        let under_way = self.pulse.begin();
        let request = addressed(request, self.authority.clone());
        let answer = ask(&mut self.sender, request).await;
        let (head, stream) = answer.map_err(|error| NotAnswered::maybe_sent(self.pulse.diagnose(error)))?.into_parts();
        Ok((head, Body { stream, under_way }))
    }
}

/// The body of an answer. Dropped before its end, it resets its stream.
pub(super) struct Body {
    stream: RecvStream,
    under_way: UnderWay,
}

impl Body {
    /// The next piece, for which the windows are opened again; `None`: that was all.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let diagnose = |error: h2::Error| self.under_way.0.diagnose(error.into());
        let piece = match self.stream.data().await {
            None => return Ok(None),
            Some(Ok(piece)) => piece,
            // After its answer a peer may say that it has no use for the rest of the request.
            Some(Err(error))
                if matches!(error.reason(), Some(Reason::NO_ERROR | Reason::CANCEL)) && error.is_reset() =>
            {
                return Ok(None);
            }
            Some(Err(error)) => return Err(diagnose(error)),
        };
        self.stream.flow_control().release_capacity(piece.len()).map_err(diagnose)?;
        Ok(Some(piece))
    }
}

/// The server is named in the URI.
fn addressed(mut request: Request<Bytes>, authority: Authority) -> Request<Bytes> {
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    (uri.scheme, uri.authority) = (Some(Scheme::HTTPS), Some(authority));
    // It has a path, so this is never an error. A URI without an authority would be refused by h2.
    *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
    *request.version_mut() = Version::HTTP_2;
    if !request.body().is_empty() {
        let length = request.body().len().into();
        request.headers_mut().insert(CONTENT_LENGTH, length);
    }
    request
}

async fn ask(
    sender: &mut SendRequest<Bytes>,
    request: Request<Bytes>,
) -> Result<http::Response<RecvStream>, ClientError> {
    let (head, content) = request.into_parts();
    let (answer, mut stream) = sender.send_request(Request::from_parts(head, ()), content.is_empty())?;
    if !content.is_empty() {
        // Before anything else runs, so that both leave together. Where the stream is gone, `answer` says why.
        let _ = stream.send_data(content, true);
    }
    Ok(answer.await?)
}

/// Runs until the last handle is dropped, the peer closes or falls silent.
async fn drive<S>(mut connection: Connection<S, Bytes>, pulse: Arc<Pulse>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let pings = connection.ping_pong();
    tokio::select! {
        biased;
        outcome = connection => {
            if let Err(error) = outcome {
                tracing::debug!(%error, "connection to another server ended");
            }
        }
        () = pulse.fades(pings) => tracing::debug!("another server fell silent"),
    }
}

impl Pulse {
    /// Counts a request until it is dropped.
    fn begin(self: &Arc<Self>) -> UnderWay {
        self.requests.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Ends when the peer gives no sign of life while requests wait for it.
    async fn fades(&self, pings: Option<PingPong>) {
        // A fresh connection has them.
        let Some(mut pings) = pings else { return pending().await };
        loop {
            sleep(self.keep_alive.interval).await;
            if self.requests.load(Ordering::Relaxed) == 0 {
                continue;
            }
            match timeout(self.keep_alive.timeout, pings.ping(Ping::opaque())).await {
                Ok(Ok(_)) => {}
                // The connection broke, which is noticed elsewhere.
                Ok(Err(_)) => return pending().await,
                Err(_) => break,
            }
        }
        // Before requests learn that the connection is gone.
        self.silent.store(true, Ordering::Release);
    }

    /// What an error on this connection comes from.
    fn diagnose(&self, error: ClientError) -> ClientError {
        match error {
            ClientError::Http2(_) if self.silent.load(Ordering::Acquire) => {
                ClientError::Silent(self.keep_alive.timeout)
            }
            error => error,
        }
    }
}

/// A request that waits for its answer, or for the rest of it.
struct UnderWay(Arc<Pulse>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Server = h2::server::Connection<tokio::io::DuplexStream, Bytes>;

    const SHORT: Duration = Duration::from_millis(20);
    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(60);

    async fn connected(interval: Duration, timeout: Duration) -> (Http2, Server) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let open = Http2::open_with(ours, "hub.test", KeepAlive { interval, timeout });
        let (client, server) = tokio::join!(open, h2::server::handshake(theirs));
        (client.unwrap(), server.unwrap())
    }

    fn request() -> Request<Bytes> {
        Request::put("/path").body(Bytes::from_static(b"{}")).unwrap()
    }

    #[tokio::test]
    async fn a_silent_peer_is_given_up() {
        let (mut client, mut server) = connected(SHORT, SHORT).await;
        let silence = async {
            let _request = server.accept().await.unwrap().unwrap();
            pending::<()>().await;
        };
        let error = tokio::select! {
            outcome = client.exchange(request(), 100) => outcome.err().unwrap(),
            () = silence => unreachable!(),
        };
        assert!(matches!(error.error, ClientError::Silent(_)), "{}", error.error);
        assert!(error.unsent.is_none() && client.is_closed());
        let unsent = client.exchange(request(), 100).await.err().unwrap().unsent.unwrap();
        assert_eq!((unsent.uri(), unsent.body()), (request().uri(), request().body()));
    }

    #[tokio::test]
    async fn a_peer_that_answers_pings_may_take_its_time() {
        let (mut client, mut server) = connected(SHORT, LONG).await;
        let serve = async {
            let (_, mut respond) = server.accept().await.unwrap().unwrap();
            // Pings are answered by whoever waits for the next request.
            let _ = timeout(SHORT * 5, server.accept()).await;
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"late"), true).unwrap();
            server.accept().await
        };
        tokio::select! {
            outcome = client.exchange(request(), 100) => assert_eq!(outcome.ok().unwrap().body, "late"),
            _ = serve => unreachable!(),
        }
    }

    #[tokio::test]
    async fn nobody_is_asked_for_a_sign_of_life_without_a_request() {
        let (mut client, _server) = connected(SHORT, SHORT).await;
        sleep(SHORT * 5).await;
        assert!(!client.is_closed());
    }
}
