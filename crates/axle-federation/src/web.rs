//! Ordinary HTTP requests to URLs that somebody else chose: one connection each, no redirects, to permitted addresses
//! only, and bounded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::request::Builder;
use http::uri::Scheme;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connect::{self, ConnectError};
use crate::resolve::{AddressPolicy, Dns, Network, ResolveError};

/// Each connection, and again TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// Makes requests to servers of the web.
pub struct WebClient {
    dns: Dns,
    tls: Arc<rustls::ClientConfig>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct WebAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The host leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// There is no connection to it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke, or what came over it was not HTTP/1.1.
    #[error("the connection broke: {0}")]
    Http(#[from] hyper::Error),
    /// The answer is too large, or did not come to its end.
    #[error("reading the answer: {0}")]
    Answer(String),
    /// The URL is none to make a request to.
    #[error("{0}")]
    Url(&'static str),
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

impl WebClient {
    /// A client that connects to public addresses and to those in `allowed`. Certificates are checked by `tls`.
    pub fn new(allowed: Vec<Network>, tls: Arc<rustls::ClientConfig>) -> Result<Self, ResolveError> {
        Ok(Self { dns: Dns::new(None, AddressPolicy::new(allowed))?, tls })
    }

    /// Posts JSON to a URL of `https` or `http`. `limit` is for all of it.
    pub async fn post_json(
        &self,
        url: &Uri,
        json: Bytes,
        max_answer: usize,
        limit: Duration,
    ) -> Result<WebAnswer, WebError> {
        let request = Request::post(path(url)).header(CONTENT_TYPE, "application/json");
        let exchange = exchange(&self.dns, &self.tls, url, request, json, max_answer);
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(WebError::Timeout(limit)))
    }
}

/// The path and query of a URL.
pub(crate) fn path(url: &Uri) -> &str {
    url.path_and_query().map_or("/", |path| path.as_str())
}

/// Makes one request, for the host of a URL.
pub(crate) async fn exchange(
    dns: &Dns,
    tls: &Arc<rustls::ClientConfig>,
    url: &Uri,
    request: Builder,
    body: Bytes,
    max_answer: usize,
) -> Result<WebAnswer, WebError> {
    let authority = url.authority().ok_or(WebError::Url("a URL without host"))?;
    let is_tls = url.scheme() != Some(&Scheme::HTTP);
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let addresses = dns.addresses(&[(host.to_owned(), port)]).await?;
    let stream = connect::tcp(&addresses, CONNECT_TIMEOUT).await?;
    let (mut sender, driver) = if is_tls {
        begin(connect::tls(stream, host, tls.clone(), CONNECT_TIMEOUT).await?).await?
    } else {
        begin(stream).await?
    };
    let request = request.header(HOST, authority.as_str()).header(USER_AGENT, crate::USER_AGENT);
    let request = request.body(Full::new(body)).map_err(|_| WebError::Url("a URL that fits into no request"))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, max_answer).collect().await.map_err(|error| WebError::Answer(error.to_string()))?;
    drop(driver);
    Ok(WebAnswer { status: head.status, headers: head.headers, body: body.to_bytes() })
}

async fn begin<S>(stream: S) -> Result<(SendRequest<Full<Bytes>>, AbortOnDrop), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(async move {
        // Errors of the connection reach the request.
        let _ = connection.await;
    });
    Ok((sender, AbortOnDrop(driver)))
}

/// Ends the connection with the request, also when that times out.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
