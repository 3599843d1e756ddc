//! Requests whose answers are read piece by piece.

use axle_protocol::ServerName;
use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, response};
use tokio::time::timeout;

use super::connection::{Body, NotAnswered};
use super::peer::Peer;
use super::request::{Ask, in_either_form};
use super::{Client, ClientError, Refusal};

impl Client {
    /// Asks for something large: the time limit is for the beginning of the answer. Redirections are answers, too. A GET
    /// that is not believed is signed again in the other form.
    pub(super) async fn open(
        &self,
        to: &ServerName,
        path: &str,
        ask: &Ask,
    ) -> Result<(response::Parts, Body), ClientError> {
        let peer = self.peer(to);
        in_either_form(&peer, ask, |empty| self.open_once(to, &peer, path, ask, empty)).await
    }

    async fn open_once(
        &self,
        to: &ServerName,
        peer: &Peer,
        path: &str,
        ask: &Ask,
        empty_content: bool,
    ) -> Result<(response::Parts, Body), ClientError> {
        let request = self.request(to, path, ask, empty_content)?;
        match timeout(ask.limit, self.begin_answer(to, peer, request, ask.max_answer)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ClientError::Timeout(ask.limit)),
        }
    }

    async fn begin_answer(
        &self,
        to: &ServerName,
        peer: &Peer,
        mut request: Request<Bytes>,
        max_refusal: usize,
    ) -> Result<(response::Parts, Body), ClientError> {
        loop {
            let (connection, fresh) = self.connection(to, peer).await?;
            let (head, body) = match connection.open_answer(request).await {
                Ok(answer) => answer,
                // It was closed while idle, and nothing was sent.
                Err(NotAnswered { unsent: Some(unsent), .. }) if !fresh => {
                    request = unsent;
                    continue;
                }
                Err(not_answered) => return Err(not_answered.error),
            };
            if head.status == StatusCode::OK || head.status.is_redirection() {
                return Ok((head, body));
            }
            let content = collect(body, max_refusal).await?;
            return Err(ClientError::Refused(Refusal::read(head.status, &head.headers, &content)));
        }
    }
}

/// All of a body that has at most so many bytes.
pub(super) async fn collect(mut body: Body, limit: usize) -> Result<Bytes, ClientError> {
    let mut content = BytesMut::new();
    while let Some(piece) = body.next().await? {
        if piece.len() > limit - content.len() {
            return Err(ClientError::TooLarge(limit));
        }
        content.extend_from_slice(&piece);
    }
    Ok(content.freeze())
}
