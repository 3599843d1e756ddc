//! Devices without a browser: their user allows them on another (RFC 8628).

use std::time::Duration;

use axle_protocol::MatrixError;

use crate::config::Rate;
use crate::session::random;

/// How long a device waits for its user.
pub(crate) const WAIT: Duration = Duration::from_secs(15 * 60);
/// How many seconds a device leaves between two questions.
pub(crate) const INTERVAL_SECONDS: u64 = 5;
/// How often it may ask: a little more often than it is told, as clocks and networks are.
pub(crate) const POLLS: Rate = Rate { per_second: 0.25, burst: 3 };
/// Letters of a code that a user types: no vowels, so that they make no words, and none that look alike.
const LETTERS: &[u8; 16] = b"BCDFGHJKLMNPRSTX";
/// How many of them.
const USER_CODE_LETTERS: usize = 8;

/// A code that a user types: two groups of four letters.
pub(crate) fn user_code() -> Result<String, MatrixError> {
    let letter = |byte: u8| LETTERS.get(usize::from(byte % 16)).copied().map(char::from).unwrap_or('B');
    let letters: String = random(USER_CODE_LETTERS)?.into_iter().map(letter).collect();
    let (one, two) = letters.split_at(USER_CODE_LETTERS / 2);
    Ok(format!("{one}-{two}"))
}
