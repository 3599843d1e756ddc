//! Asking other servers, all at once, for as long as a person waits.

use std::collections::BTreeMap;
use std::time::Duration;

use axle_protocol::{MatrixError, ServerName};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

/// How long they may take together.
const PATIENCE: Duration = Duration::from_secs(10);
/// Servers that are asked at once.
const MAX_AT_ONCE: usize = 32;

/// Why nothing is known of the users of a server.
#[derive(Debug, Serialize)]
pub(super) struct Unreachable {
    status: u16,
    message: String,
}

impl Unreachable {
    /// The server cannot have a user with such an id.
    pub(super) fn unspeakable() -> Self {
        Self { status: 400, message: "The user's id is not one that servers here have.".into() }
    }
}

impl From<MatrixError> for Unreachable {
    fn from(error: MatrixError) -> Self {
        Self { status: error.status, message: error.error }
    }
}

/// Asks each of these servers its own question. Returns the answers, and why there are no others.
pub(super) async fn ask<Q, A>(
    questions: BTreeMap<ServerName, Q>,
    patience: Option<Duration>,
    ask: impl Fn(ServerName, Q) -> BoxFuture<'static, Result<A, MatrixError>>,
) -> (Vec<A>, BTreeMap<String, Unreachable>) {
    let deadline = Instant::now() + patience.unwrap_or(PATIENCE).min(PATIENCE);
    let ask_one = |(server, question): (ServerName, Q)| {
        let answer = timeout_at(deadline, ask(server.clone(), question));
        let late = || MatrixError::gateway_timeout("The server did not answer in time.");
        async move { (server, answer.await.unwrap_or_else(|_| Err(late()))) }
    };
    let asking: Vec<_> = questions.into_iter().map(ask_one).collect();
    let mut outcomes = stream::iter(asking).buffer_unordered(MAX_AT_ONCE);
    let (mut answers, mut failures) = (Vec::new(), BTreeMap::new());
    while let Some((server, outcome)) = outcomes.next().await {
        match outcome {
            Ok(answer) => answers.push(answer),
            Err(error) => drop(failures.insert(server.to_string(), error.into())),
        }
    }
    (answers, failures)
}
