//! One connection to a server, HTTP/2 or HTTP/1.1.

mod http1;
mod http2;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::ClientError;
use crate::connect;
use crate::resolve::{Scheme, Target};
use crate::web::{OpenAnswer, WebConnection};
use http1::Http1;
use http2::Http2;

/// An open connection.
pub(super) struct Connection {
    kind: Kind,
    pub(super) opened: Instant,
}

enum Kind {
    Http1(Http1),
    Http2(Http2),
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) head: response::Parts,
    pub(super) body: Bytes,
}

/// Why a request got no answer. If the connection was gone before anything was sent, it may be sent again.
pub(super) struct NotAnswered {
    pub(super) error: ClientError,
    pub(super) unsent: Option<Request<Bytes>>,
}

impl Connection {
    /// Connects to a server.
    pub(super) async fn open(
        target: &Target,
        tls: Arc<rustls::ClientConfig>,
        limit: Duration,
    ) -> Result<Self, ClientError> {
        let host = &target.host_header;
        let stream = connect::tcp(&target.addresses, limit).await?;
        let kind = match target.scheme {
            Scheme::Http => Kind::Http1(Http1::open(stream, host).await?),
            Scheme::Https => {
                let stream = connect::tls(stream, &target.tls_name, tls, limit).await?;
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Kind::Http2(Http2::open(stream, host).await?),
                    _ => Kind::Http1(Http1::open(stream, host).await?),
                }
            }
        };
        Ok(Self { kind, opened: Instant::now() })
    }

    /// A second handle to a connection that takes several requests at once.
    pub(super) fn share(&self) -> Option<Self> {
        match &self.kind {
            Kind::Http1(_) => None,
            Kind::Http2(http2) => Some(Self { kind: Kind::Http2(http2.clone()), opened: self.opened }),
        }
    }

    /// Whether it takes several requests at once.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Http2(_))
    }

    /// Whether it can be used no more.
    pub(super) fn is_closed(&mut self) -> bool {
        match &mut self.kind {
            Kind::Http1(http1) => http1.is_closed(),
            Kind::Http2(http2) => http2.is_closed(),
        }
    }

    /// Whether another request can follow the one that was answered so; for connections that take one at a time.
    pub(super) async fn is_free_after(&mut self, answer: &Answer) -> bool {
        match &mut self.kind {
            Kind::Http1(http1) => http1.is_free_after(answer).await,
            Kind::Http2(_) => false,
        }
    }

    /// Sends a request, whose URI is nothing but a path, and reads the answer.
    pub(super) async fn exchange(&mut self, request: Request<Bytes>, max_answer: usize) -> Result<Answer, NotAnswered> {
        match &mut self.kind {
            Kind::Http1(http1) => http1.exchange(request, max_answer).await,
            Kind::Http2(http2) => http2.exchange(request, max_answer).await,
        }
    }

    /// The same for an answer whose body is read piece by piece.
    pub(super) async fn open_answer(self, request: Request<Bytes>) -> Result<(response::Parts, Body), NotAnswered> {
        match self.kind {
            Kind::Http1(mut http1) => {
                let (head, body) = http1.ask(request).await?;
                Ok((head, Body(Source::Http1(body, http1))))
            }
            Kind::Http2(mut http2) => {
                let (head, body) = http2.ask(request).await?;
                Ok((head, Body(Source::Http2(body))))
            }
        }
    }
}

/// The body of an answer that is read piece by piece. Dropped before its end, it ends its connection or stream.
pub(super) struct Body(Source);

/// Where it comes from, with what keeps that open.
enum Source {
    /// HTTP/1.1.
    Http1(Incoming, #[allow(dead_code)] Http1),
    /// HTTP/2.
    Http2(http2::Body),
    /// A host that is no server of the federation.
    Web(Incoming, #[allow(dead_code)] WebConnection),
}

impl Body {
    /// The next piece; `None`: that was all.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let body = match &mut self.0 {
            Source::Http2(body) => return body.next().await,
            Source::Http1(body, _) | Source::Web(body, _) => body,
        };
        // What is no data is trailers.
        while let Some(frame) = body.frame().await {
            if let Ok(piece) = frame?.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

impl From<OpenAnswer> for Body {
    fn from(answer: OpenAnswer) -> Self {
        Self(Source::Web(answer.body, answer.connection))
    }
}

impl NotAnswered {
    /// Of a request that may have arrived.
    fn maybe_sent(error: impl Into<ClientError>) -> Self {
        Self { error: error.into(), unsent: None }
    }
}
