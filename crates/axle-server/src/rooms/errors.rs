//! Refusals of a room in the words of the APIs.

use axle_protocol::MatrixError;
use axle_protocol::event::{BuildError, EventError};
use axle_room::Refusal;
use axle_store::StoreError;

use super::groups;

/// How long to wait while too much of a room waits for earlier events, in milliseconds.
const BUSY_RETRY_MS: u64 = 5_000;

/// What a refused request is answered with.
pub(crate) fn refused(refusal: Refusal) -> MatrixError {
    let reason = refusal.to_string();
    match refusal {
        Refusal::Forbidden(_) => MatrixError::forbidden(reason),
        Refusal::NotHub(_) => MatrixError::wrong_server(reason),
        Refusal::NoRoom | Refusal::NotParticipating => MatrixError::not_found(reason),
        Refusal::Build(BuildError::Event(EventError::TooLarge)) => MatrixError::too_large(reason),
        Refusal::Unfit(_) | Refusal::Build(_) => MatrixError::bad_json(reason),
        Refusal::Unsound(_) => MatrixError::bad_gateway(reason),
        Refusal::Group(refusal) => groups::refusal::refused(&refusal),
        Refusal::Busy => MatrixError::limit_exceeded(BUSY_RETRY_MS),
    }
}

/// The answer when the store fails. What went wrong is for the operator.
pub(crate) fn broken(error: StoreError) -> MatrixError {
    tracing::error!(%error, "the store failed");
    MatrixError::unknown("The server cannot read or write right now.")
}
