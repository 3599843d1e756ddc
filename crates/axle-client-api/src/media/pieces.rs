//! Bytes that arrive piece by piece and have to make progress.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, timeout_at};

/// A file makes progress if so many bytes arrive within [`stall_timeout`](crate::MediaConfig::stall_timeout): one that
/// trickles would hold its file and its connection for days.
const PROGRESS_BYTES: usize = 64 * 1024;

/// The pieces of a file that has to make progress.
pub(super) struct Pieces<S> {
    stream: S,
    timeout: Duration,
    deadline: Instant,
    /// Bytes since the deadline was set.
    moved: usize,
}

/// Why there are no further pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stopped<E> {
    /// It makes no progress.
    Stalled,
    /// It broke off.
    Broken(E),
}

impl<S, E> Pieces<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    pub(super) fn new(stream: S, timeout: Duration) -> Self {
        Self { stream, timeout, deadline: Instant::now() + timeout, moved: 0 }
    }

    /// The next one; `None`: that was all.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Stopped<E>> {
        let piece = timeout_at(self.deadline, self.stream.next()).await.map_err(|_| Stopped::Stalled)?;
        let Some(piece) = piece.transpose().map_err(Stopped::Broken)? else { return Ok(None) };
        self.moved = self.moved.saturating_add(piece.len());
        if self.moved >= PROGRESS_BYTES {
            self.moved = 0;
            self.deadline = Instant::now() + self.timeout;
        }
        Ok(Some(piece))
    }
}
