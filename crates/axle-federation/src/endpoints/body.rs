//! Reading request bodies: bounded in size, time and number.

use std::time::Duration;

use axle_protocol::MatrixError;
use axle_protocol::limits::{MAX_EDUS_PER_TRANSACTION, MAX_EVENT_BYTES, MAX_PDUS_PER_TRANSACTION};
use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The body of a transaction: as many events and EDUs as there may be, each as large as it may be.
pub const MAX_TRANSACTION_BODY_BYTES: usize =
    (MAX_PDUS_PER_TRANSACTION + MAX_EDUS_PER_TRANSACTION) * (MAX_EVENT_BYTES + 1) + 1024;
/// Any other body: an event and some stripped state.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How long a sender may take to send a body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bodies larger than this wait for one of [`LARGE_BODIES`] places: until a body is read, nobody knows who sent it.
const LARGE_BODY_BYTES: u64 = 1024 * 1024;
const LARGE_BODIES: usize = 32;

/// Reads bodies.
pub(super) struct Bodies {
    large: Semaphore,
}

impl Bodies {
    pub(super) fn new() -> Self {
        Self { large: Semaphore::new(LARGE_BODIES) }
    }

    /// A whole body of at most `limit` bytes.
    pub(super) async fn read(&self, headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, MatrixError> {
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let too_large = || MatrixError::too_large(format!("The body is larger than {limit} bytes."));
        if length.is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let read = async {
            let large = limit as u64 > LARGE_BODY_BYTES && length.is_none_or(|length| length > LARGE_BODY_BYTES);
            // The semaphore is never closed.
            let _place = if large { self.large.acquire().await.ok() } else { None };
            Limited::new(body, limit).collect().await
        };
        match timeout(BODY_TIMEOUT, read).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(error)) => Err(MatrixError::not_json(format!("The body could not be read: {error}"))),
            Err(_) => Err(MatrixError::new(408, "M_UNKNOWN", "The body did not arrive in time.")),
        }
    }
}
