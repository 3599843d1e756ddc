//! One exchange: path, signature, connection, answer; and what is tried again.

use std::time::Duration;

use axle_protocol::ServerName;
use axle_protocol::signing::x_matrix::{SignedRequest, sign_request};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, StatusCode};
use tokio::time::timeout;

use super::connection::{Answer, Connection, NotAnswered};
use super::peer::{Dialect, Peer};
use super::{Client, ClientError, Refusal};

/// What is asked, apart from its path.
pub(super) struct Ask {
    pub(super) method: Method,
    /// Canonical JSON.
    pub(super) body: Option<Bytes>,
    /// The largest answer that is read.
    pub(super) max_answer: usize,
    /// For everything, from resolving the name to the last byte.
    pub(super) limit: Duration,
    pub(super) signed: bool,
}

/// Where an endpoint is, in both dialects.
pub(super) struct Paths {
    pub(super) stable: String,
    pub(super) unstable: String,
}

impl Paths {
    fn of(&self, dialect: Dialect) -> &str {
        match dialect {
            Dialect::Stable => &self.stable,
            Dialect::Unstable => &self.unstable,
        }
    }
}

impl Client {
    /// Asks at the path that the server is known to serve, then at the other.
    pub(super) async fn ask_either(&self, to: &ServerName, paths: &Paths, ask: &Ask) -> Result<Bytes, ClientError> {
        let peer = self.peer(to);
        let known = peer.dialect();
        let first = known.unwrap_or(Dialect::Stable);
        let outcome = self.ask(to, paths.of(first), ask).await;
        let unknown_path = outcome_is_unknown_endpoint(&outcome);
        // While the dialect is not known, some servers' "not found" may mean the path.
        let in_doubt = known.is_none() && status_of(&outcome) == Some(404);
        if !unknown_path && !in_doubt {
            if outcome.is_ok() && known.is_none() {
                peer.set_dialect(first);
            }
            return outcome;
        }
        let other = self.ask(to, paths.of(first.other()), ask).await;
        if outcome_is_unknown_endpoint(&other) || (!unknown_path && status_of(&other) == Some(404)) {
            return outcome;
        }
        if other.is_ok() || status_of(&other).is_some() {
            peer.set_dialect(first.other());
        }
        other
    }

    /// Asks at one path. A GET that is not believed is signed again in the other form.
    pub(super) async fn ask(&self, to: &ServerName, path: &str, ask: &Ask) -> Result<Bytes, ClientError> {
        let peer = self.peer(to);
        in_either_form(&peer, ask, |empty| self.ask_once(to, &peer, path, ask, empty)).await
    }

    async fn ask_once(
        &self,
        to: &ServerName,
        peer: &Peer,
        path: &str,
        ask: &Ask,
        empty_content: bool,
    ) -> Result<Bytes, ClientError> {
        let request = self.request(to, path, ask, empty_content)?;
        let exchange = async {
            // The semaphore is never closed.
            let _permit = peer.requests.acquire().await;
            self.exchange(to, peer, request, ask.max_answer).await
        };
        match timeout(ask.limit, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // A connection that swallows requests is not used again.
                peer.forget_connections();
                Err(ClientError::Timeout(ask.limit))
            }
        }
    }

    pub(super) fn request(
        &self,
        to: &ServerName,
        path: &str,
        ask: &Ask,
        empty_content: bool,
    ) -> Result<Request<Bytes>, ClientError> {
        let mut request = Request::builder().method(ask.method.clone()).uri(path).header(USER_AGENT, crate::USER_AGENT);
        if ask.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if ask.signed {
            let content = match &ask.body {
                Some(body) => Some(std::str::from_utf8(body).map_err(|error| ClientError::Request(error.to_string()))?),
                None => empty_content.then_some("{}"),
            };
            let origin = &self.0.server_name;
            let signed = SignedRequest { method: ask.method.as_str(), uri: path, origin, destination: to, content };
            for key in &self.0.keys {
                request = request.header(AUTHORIZATION, sign_request(&signed, key).to_header());
            }
        }
        request.body(ask.body.clone().unwrap_or_default()).map_err(|error| ClientError::Request(error.to_string()))
    }

    async fn exchange(
        &self,
        to: &ServerName,
        peer: &Peer,
        mut request: Request<Bytes>,
        max_answer: usize,
    ) -> Result<Bytes, ClientError> {
        loop {
            let (mut connection, fresh) = self.connection(to, peer).await?;
            let answer = match connection.exchange(request, max_answer).await {
                Ok(answer) => answer,
                // It was closed while idle, and nothing was sent.
                Err(NotAnswered { unsent: Some(unsent), .. }) if !fresh => {
                    request = unsent;
                    continue;
                }
                Err(not_answered) => return Err(not_answered.error),
            };
            if connection.is_free_after(&answer).await {
                peer.keep(connection);
            }
            let Answer { head, body } = answer;
            return match head.status {
                StatusCode::OK => Ok(body),
                status => Err(ClientError::Refused(Refusal::read(status, &head.headers, &body))),
            };
        }
    }

    /// A connection, and whether it was opened just now.
    pub(super) async fn connection(&self, to: &ServerName, peer: &Peer) -> Result<(Connection, bool), ClientError> {
        if let Some(connection) = peer.connection() {
            return Ok((connection, false));
        }
        let _connecting = peer.connecting.lock().await;
        if let Some(connection) = peer.connection() {
            return Ok((connection, false));
        }
        let target = self.0.resolver.resolve(to).await?;
        let connection = Connection::open(&target, self.0.tls.clone(), self.0.timeouts.connect).await?;
        if let Some(shared) = connection.share() {
            peer.keep(shared);
        }
        Ok((connection, true))
    }
}

/// Signs a GET as the server is known to want it, and if it is not believed, in the other form: `once` is told whether with
/// `content: {}`.
pub(super) async fn in_either_form<T, F>(peer: &Peer, ask: &Ask, once: impl Fn(bool) -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let empty = peer.signs_empty_content();
    let outcome = once(empty).await;
    if !ask.signed || ask.body.is_some() || status_of(&outcome) != Some(401) {
        return outcome;
    }
    let again = once(!empty).await;
    if status_of(&again) == Some(401) {
        return outcome;
    }
    peer.set_signs_empty_content(!empty);
    again
}

fn status_of<T>(outcome: &Result<T, ClientError>) -> Option<u16> {
    outcome.as_ref().err()?.refusal().map(|refusal| refusal.error.status)
}

fn outcome_is_unknown_endpoint<T>(outcome: &Result<T, ClientError>) -> bool {
    outcome.as_ref().err().and_then(ClientError::refusal).is_some_and(Refusal::is_unknown_endpoint)
}
