//! A request body that must arrive, or move on, in time, and that is taken even if nobody wants it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep, timeout};

/// What is taken of a body that nobody reads to its end, and for how long. There are clients that do not see an answer whose
/// stream or connection ends while they are sending.
const MAX_DISCARDED_BYTES: usize = 8 * 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Fails when the whole of it has not arrived before its time is over. What is left when it is dropped is discarded in the
/// background.
pub(super) struct TimedBody {
    /// `None` once it is dropped.
    inner: Option<Incoming>,
    pace: Pace,
    timeout: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    arrived: Arc<AtomicBool>,
}

/// What has to happen in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// The whole body.
    Whole,
    /// The next piece of it. Whoever reads the body has to see to it that pieces are not too small.
    NextPiece,
}

/// The body took too long.
#[derive(Debug, thiserror::Error)]
#[error("the request's body did not arrive in time")]
pub(super) struct BodyTimeout;

impl TimedBody {
    pub(super) fn new(inner: Incoming, pace: Pace, timeout: Duration) -> Self {
        let arrived = Arc::new(AtomicBool::new(inner.is_end_stream()));
        Self { inner: Some(inner), pace, timeout, deadline: None, arrived }
    }

    /// Tells, now and later, whether the whole body has arrived.
    pub(super) fn arrived(&self) -> Arc<AtomicBool> {
        self.arrived.clone()
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(&mut *inner).poll_frame(cx) {
            if frame.is_none() || inner.is_end_stream() {
                self.arrived.store(true, Relaxed);
            }
            if self.pace == Pace::NextPiece {
                self.deadline = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        // Made when it is needed first: most bodies are there at once.
        let timeout = self.timeout;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(timeout)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(Box::new(BodyTimeout)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        if self.arrived.load(Relaxed) {
            return;
        }
        if let (Some(rest), Ok(runtime)) = (self.inner.take(), Handle::try_current()) {
            runtime.spawn(timeout(DISCARD_TIMEOUT, discard(rest)));
        }
    }
}

async fn discard(mut rest: Incoming) {
    let mut discarded = 0;
    while let Some(Ok(frame)) = rest.frame().await {
        discarded += frame.data_ref().map_or(0, Bytes::len);
        if discarded > MAX_DISCARDED_BYTES {
            break;
        }
    }
}
