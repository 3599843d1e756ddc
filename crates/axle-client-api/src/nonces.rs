//! Nonces: random texts that are good once, for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axle_protocol::MatrixError;

use crate::session::random_token;

/// How long one is good.
const LIFETIME: Duration = Duration::from_secs(60);
/// Random bytes in one.
const NONCE_BYTES: usize = 32;
/// So many are kept at most; more are refused until some have ended.
const MAX_NONCES: usize = 10_000;

/// Nonces that were not used yet, with their ends. They live in memory: after a restart clients ask for new ones.
#[derive(Default)]
pub(crate) struct Nonces(Mutex<HashMap<String, Instant>>);

impl Nonces {
    /// Makes one.
    pub(crate) fn make(&self) -> Result<String, MatrixError> {
        let nonce = random_token(NONCE_BYTES)?;
        let now = Instant::now();
        let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.len() >= MAX_NONCES {
            nonces.retain(|_, end| *end > now);
        }
        if nonces.len() >= MAX_NONCES {
            return Err(MatrixError::limit_exceeded(u64::try_from(LIFETIME.as_millis()).unwrap_or(u64::MAX)));
        }
        nonces.insert(nonce.clone(), now + LIFETIME);
        Ok(nonce)
    }

    /// Uses one up; whether it was good.
    pub(crate) fn take(&self, nonce: &str) -> bool {
        let end = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(nonce);
        end.is_some_and(|end| end > Instant::now())
    }
}
