//! Tokens by which users prove to others who they are ("OpenID").

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axle_protocol::{MatrixError, UserId};

use crate::session::random_token;

/// How long one is good.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);
/// Random bytes in one.
const TOKEN_BYTES: usize = 32;
/// So many are kept at most; more are refused until some have ended.
const MAX_TOKENS: usize = 100_000;

/// The tokens that are still good. They live in memory: after a restart clients ask for new ones.
#[derive(Default)]
pub(crate) struct OpenIdTokens(Mutex<HashMap<String, (UserId, Instant)>>);

impl OpenIdTokens {
    /// Makes one.
    pub(crate) fn make(&self, user_id: &UserId) -> Result<String, MatrixError> {
        let token = random_token(TOKEN_BYTES)?;
        let now = Instant::now();
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MAX_TOKENS {
            tokens.retain(|_, (_, end)| *end > now);
        }
        if tokens.len() >= MAX_TOKENS {
            return Err(MatrixError::limit_exceeded(u64::try_from(LIFETIME.as_millis()).unwrap_or(u64::MAX)));
        }
        tokens.insert(token.clone(), (user_id.clone(), now + LIFETIME));
        Ok(token)
    }

    /// Whose it is, if it is still good.
    pub(crate) fn owner(&self, token: &str) -> Option<UserId> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).filter(|(_, end)| *end > Instant::now()).map(|(user_id, _)| user_id.clone())
    }
}
