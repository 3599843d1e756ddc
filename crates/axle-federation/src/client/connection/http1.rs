//! HTTP/1.1: one request at a time.

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, NotAnswered};
use crate::client::ClientError;

/// A connection.
pub(super) struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl Http1 {
    /// Begins on a fresh stream; `host` is what requests say in `Host`.
    pub(super) async fn open<S>(stream: S, host: &str) -> Result<Self, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let host = host.parse().map_err(|_| ClientError::Request(format!("{host:?} cannot be a header")))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Runs until the handle is dropped or the peer closes.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to another server ended");
            }
        });
        Ok(Self { sender, host })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) async fn is_free_after(&mut self, answer: &Answer) -> bool {
        let closes = answer.head.headers.get(CONNECTION) == Some(&HeaderValue::from_static("close"));
        !closes && self.sender.ready().await.is_ok()
    }

    pub(super) async fn exchange(&mut self, request: Request<Bytes>, max_answer: usize) -> Result<Answer, NotAnswered> {
        let (head, body) = self.ask(request).await?;
        match Limited::new(body, max_answer).collect().await {
            Ok(body) => Ok(Answer { head, body: body.to_bytes() }),
            Err(error) => Err(NotAnswered::maybe_sent(unread(error, max_answer))),
        }
    }

    /// Sends a request; the body of the answer is still to be read, while this is kept.
    pub(super) async fn ask(
        &mut self,
        mut request: Request<Bytes>,
    ) -> Result<(response::Parts, Incoming), NotAnswered> {
        request.headers_mut().insert(HOST, self.host.clone());
        let content = request.body().clone();
        match self.sender.try_send_request(request.map(Full::new)).await {
            Ok(answer) => Ok(answer.into_parts()),
            Err(mut error) => {
                let unsent = error.take_message().map(|request| without_host(request.map(|_| content)));
                Err(NotAnswered { unsent, error: error.into_error().into() })
            }
        }
    }
}

/// The request as it was before it met this connection; the next may be HTTP/2, where the URI names the host.
fn without_host(mut request: Request<Bytes>) -> Request<Bytes> {
    request.headers_mut().remove(HOST);
    request
}

fn unread(error: Box<dyn std::error::Error + Send + Sync>, limit: usize) -> ClientError {
    if error.is::<LengthLimitError>() {
        return ClientError::TooLarge(limit);
    }
    match error.downcast::<hyper::Error>() {
        Ok(error) => ClientError::Http1(*error),
        Err(other) => ClientError::Malformed(other.to_string()),
    }
}
