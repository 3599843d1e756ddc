//! Long polling that comes back by itself.

use std::time::Duration;

use crate::backoff::doubled;
use crate::{Client, Error, RetryPolicy, SyncResponse};

/// How long the server may hold an answer back while nothing happens.
const LONG_POLL: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const TIMELINE_LIMIT: usize = 50;

/// Follows a user's events. Call [`SyncLoop::next`] again and again.
#[derive(Debug)]
pub struct SyncLoop {
    client: Client,
    since: Option<String>,
    timeline_limit: usize,
    failures: u32,
    pause: Duration,
    hurry: bool,
}

/// What a step of following brought.
#[derive(Debug)]
pub enum SyncStep {
    /// News, or none for a while.
    Synced(Box<SyncResponse>),
    /// The server is away. The next call waits and tries again.
    Disconnected {
        /// Why.
        error: Error,
        /// How long the next call waits.
        retry_in: Duration,
    },
    /// The session is over; there is nothing more to come.
    LoggedOut(Error),
}

impl SyncLoop {
    /// Follows from a token of before, or from the beginning.
    pub fn new(client: &Client, since: Option<String>) -> Self {
        // The pauses between tries are this loop's own business, so that it can tell of them.
        let client = client.with_retry(RetryPolicy::NEVER);
        Self { client, since, timeline_limit: TIMELINE_LIMIT, failures: 0, pause: Duration::ZERO, hurry: false }
    }

    /// How many events of each room a sync brings at most.
    pub fn timeline_limit(mut self, limit: usize) -> Self {
        self.timeline_limit = limit;
        self
    }

    /// Where the next sync goes on.
    pub fn since(&self) -> Option<&str> {
        self.since.as_deref()
    }

    /// Makes the next call come back at once, with news or without.
    pub fn hurry(&mut self) {
        self.hurry = true;
        self.pause = Duration::ZERO;
    }

    /// Waits for the next step. Dropping the future loses nothing: the next call asks for the same again.
    pub async fn next(&mut self) -> SyncStep {
        tokio::time::sleep(self.pause).await;
        // The first answer after a failure comes at once, so that one knows that the server is back.
        let at_once = self.hurry || self.since.is_none() || self.failures > 0;
        let wait = if at_once { Duration::ZERO } else { LONG_POLL };
        let outcome = self.client.sync(self.since.as_deref(), wait, self.timeline_limit).await;
        self.hurry = false;
        match outcome {
            Ok(response) => {
                self.since = Some(response.next_batch.clone());
                self.failures = 0;
                self.pause = Duration::ZERO;
                SyncStep::Synced(Box::new(response))
            }
            Err(error) if error.is_logged_out() => SyncStep::LoggedOut(error),
            Err(error) => {
                self.pause = pause_after(self.failures, &error);
                self.failures = self.failures.saturating_add(1);
                SyncStep::Disconnected { error, retry_in: self.pause }
            }
        }
    }
}

/// Doubles with each failure; what the server asks for counts if it is longer.
fn pause_after(failures: u32, error: &Error) -> Duration {
    let asked = error.api().and_then(|error| error.retry_after).unwrap_or_default();
    doubled(FIRST_PAUSE, failures).max(asked).min(LONGEST_PAUSE)
}
