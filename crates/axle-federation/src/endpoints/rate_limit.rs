//! How often one server may ask ("Rate Limiting").

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axle_protocol::{MatrixError, ServerName};
use lru::LruCache;

/// Servers whose requests are counted; those not heard from for the longest start anew.
const MAX_SERVERS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// So many requests at once, then so many a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Requests a second, for ever.
    pub per_second: f64,
    /// Requests at once, after a silence.
    pub burst: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { per_second: 50.0, burst: 200 }
    }
}

/// A bucket of tokens for each server.
pub(super) struct RateLimiter {
    limit: Option<RateLimit>,
    buckets: Mutex<LruCache<ServerName, Bucket>>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl RateLimiter {
    pub(super) fn new(limit: Option<RateLimit>) -> Self {
        Self { limit, buckets: Mutex::new(LruCache::new(MAX_SERVERS)) }
    }

    /// Counts a request; 429 if it is one too many.
    pub(super) fn check(&self, server: &ServerName, now: Instant) -> Result<(), MatrixError> {
        let Some(limit) = self.limit else { return Ok(()) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = || Bucket { tokens: f64::from(limit.burst), at: now };
        let bucket = buckets.get_or_insert_mut(server.clone(), full);
        let refilled = bucket.tokens + now.saturating_duration_since(bucket.at).as_secs_f64() * limit.per_second;
        bucket.tokens = refilled.min(f64::from(limit.burst));
        bucket.at = now;
        if bucket.tokens < 1.0 {
            let wait = (1.0 - bucket.tokens) / limit.per_second.max(f64::MIN_POSITIVE) * 1000.0;
            return Err(MatrixError::limit_exceeded(wait.ceil() as u64));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_then_a_rate() {
        let (a, b) = (ServerName::parse("a.test").unwrap(), ServerName::parse("b.test").unwrap());
        let limiter = RateLimiter::new(Some(RateLimit { per_second: 2.0, burst: 3 }));
        let start = Instant::now();
        for _ in 0..3 {
            limiter.check(&a, start).unwrap();
        }
        assert_eq!(limiter.check(&a, start).unwrap_err().retry_after_ms, Some(500));
        limiter.check(&b, start).unwrap();
        limiter.check(&a, start + Duration::from_millis(500)).unwrap();
        assert!(limiter.check(&a, start + Duration::from_millis(600)).is_err());
        for _ in 0..3 {
            limiter.check(&a, start + Duration::from_secs(60)).unwrap();
        }
        assert!(limiter.check(&a, start + Duration::from_secs(60)).is_err());
    }

    #[test]
    fn no_limit() {
        let limiter = RateLimiter::new(None);
        let a = ServerName::parse("a.test").unwrap();
        assert!((0..10_000).all(|_| limiter.check(&a, Instant::now()).is_ok()));
    }
}
