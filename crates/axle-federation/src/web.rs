//! Ordinary HTTP requests to URLs that somebody else chose: one connection each, no redirects, to permitted addresses
//! only, and bounded.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::request::Builder;
use http::uri::Scheme;
use http::{HeaderMap, Request, StatusCode, Uri, response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
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

/// An answer, read as far as it was wanted.
#[derive(Debug)]
pub struct WebPart {
    /// Its status, its headers, and the beginning of its body.
    pub answer: WebAnswer,
    /// Whether that is all of it.
    pub is_whole: bool,
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
    /// What was asked for or answered is of no use, too large, or did not come to its end.
    #[error("{0}")]
    Answer(String),
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

impl From<&str> for WebError {
    fn from(text: &str) -> Self {
        Self::Answer(text.to_owned())
    }
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
        let exchange = async { ask(&self.dns, &self.tls, url, request, json).await?.read(max_answer).await };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(WebError::Timeout(limit)))
    }

    /// Asks for a URL of `https` or `http`, as it is, not compressed; follows no redirects. Reads `max_bytes` of the body at
    /// most. `limit` is for all of it.
    pub async fn get(
        &self,
        url: &Uri,
        accept: &'static str,
        max_bytes: usize,
        limit: Duration,
    ) -> Result<WebPart, WebError> {
        let request = Request::get(path(url)).header(ACCEPT, accept).header(ACCEPT_ENCODING, "identity");
        let exchange =
            async { ask(&self.dns, &self.tls, url, request, Bytes::new()).await?.read_part(max_bytes).await };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(WebError::Timeout(limit)))
    }
}

/// An answer whose body is still to be read. The connection ends with it.
pub(crate) struct OpenAnswer {
    pub(crate) head: response::Parts,
    pub(crate) body: Incoming,
    pub(crate) connection: WebConnection,
}

impl OpenAnswer {
    /// Reads it to its end.
    pub(crate) async fn read(self, max_bytes: usize) -> Result<WebAnswer, WebError> {
        let body = Limited::new(self.body, max_bytes).collect().await;
        let body = body.map_err(|error| WebError::Answer(format!("reading the answer: {error}")))?;
        Ok(WebAnswer { status: self.head.status, headers: self.head.headers, body: body.to_bytes() })
    }

    /// Reads it to its end, or until there are so many bytes.
    async fn read_part(mut self, max_bytes: usize) -> Result<WebPart, WebError> {
        let mut body = BytesMut::new();
        while let Some(frame) = self.body.frame().await {
            if let Ok(piece) = frame?.into_data() {
                body.extend_from_slice(&piece);
            }
            if body.len() > max_bytes {
                break;
            }
        }
        let is_whole = body.len() <= max_bytes;
        body.truncate(max_bytes);
        let answer = WebAnswer { status: self.head.status, headers: self.head.headers, body: body.freeze() };
        Ok(WebPart { answer, is_whole })
    }
}

/// Ends the connection when it is dropped.
pub(crate) struct WebConnection(tokio::task::JoinHandle<()>);

impl Drop for WebConnection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks for an https URL; follows no redirects.
pub(crate) async fn get(dns: &Dns, tls: &Arc<rustls::ClientConfig>, url: &Uri) -> Result<OpenAnswer, WebError> {
    ask(dns, tls, url, Request::get(path(url)), Bytes::new()).await
}

/// The path and query of a URL.
fn path(url: &Uri) -> &str {
    url.path_and_query().map_or("/", |path| path.as_str())
}

/// Makes one request, for the host of a URL.
async fn ask(
    dns: &Dns,
    tls: &Arc<rustls::ClientConfig>,
    url: &Uri,
    request: Builder,
    body: Bytes,
) -> Result<OpenAnswer, WebError> {
    let authority = url.authority().ok_or("a URL without host")?;
    let is_tls = url.scheme() != Some(&Scheme::HTTP);
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let addresses = dns.addresses(&[(host.to_owned(), port)]).await?;
    let stream = connect::tcp(&addresses, CONNECT_TIMEOUT).await?;
    let (mut sender, connection) = if is_tls {
        begin(connect::tls(stream, host, tls.clone(), CONNECT_TIMEOUT).await?).await?
    } else {
        begin(stream).await?
    };
    let request = request.header(HOST, authority.as_str()).header(USER_AGENT, crate::USER_AGENT);
    let request = request.body(Full::new(body)).map_err(|_| "a URL that fits into no request")?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(OpenAnswer { head, body, connection })
}

async fn begin<S>(stream: S) -> Result<(SendRequest<Full<Bytes>>, WebConnection), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(async move {
        // Errors of the connection reach the request.
        let _ = connection.await;
    });
    Ok((sender, WebConnection(driver)))
}

/// Where an answer redirects to; `None`: it does not, or not to an https URL.
pub(crate) fn redirected(from: &Uri, head: &response::Parts) -> Option<Uri> {
    let location = head.headers.get(LOCATION).filter(|_| head.status.is_redirection())?;
    redirect(from, location.to_str().ok()?)
}

/// Where a redirect leads. Only to https: otherwise whoever sits on the wire could choose what is answered.
pub(crate) fn redirect(from: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let authority = from.authority()?;
    let target = if let Some(rest) = location.strip_prefix("//") {
        format!("https://{rest}")
    } else if location.starts_with('/') {
        format!("https://{authority}{location}")
    } else if location.contains("://") {
        location.to_owned()
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("https://{authority}{folder}/{location}")
    };
    https(&target)
}

/// A URL that may be asked for.
pub(crate) fn https(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    (uri.scheme() == Some(&Scheme::HTTPS) && !authority.as_str().contains('@')).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects() {
        let from: Uri = "https://example.org/.well-known/matrix/server".parse().unwrap();
        let to = |location: &str| redirect(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("https://b.example/x?y#z").as_deref(), Some("https://b.example/x?y"));
        assert_eq!(to("/x").as_deref(), Some("https://example.org/x"));
        assert_eq!(to("//b.example/x").as_deref(), Some("https://b.example/x"));
        assert_eq!(to("other").as_deref(), Some("https://example.org/.well-known/matrix/other"));
        for location in ["http://b.example/x", "ftp://b.example", "https://u:p@b.example/", "https://", "javascript:1"]
        {
            let uri = to(location);
            assert!(uri.is_none() || location == "javascript:1", "{location} -> {uri:?}");
        }
    }
}
