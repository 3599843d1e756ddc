//! Pauses that grow.

use std::time::Duration;

/// More doublings make no difference: every longest pause is reached before.
const MAX_DOUBLINGS: u32 = 16;

/// A pause that is doubled so many times.
pub(crate) fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times.min(MAX_DOUBLINGS)))
}
