//! Rate limits: token buckets by key.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axle_protocol::MatrixError;

use crate::config::{Rate, RateLimits};

/// Buckets kept of one limit; when there are more, the full ones are forgotten first.
const MAX_BUCKETS: usize = 100_000;
/// An IPv6 host usually has a whole network of this size.
const IPV6_PREFIX_BYTES: usize = 8;

/// Every limit of this API.
pub(crate) struct Limits {
    pub(crate) changes: Limiter,
    pub(crate) rooms: Limiter,
    pub(crate) registrations: Limiter,
    pub(crate) login_account: Limiter,
    pub(crate) login_address: Limiter,
    pub(crate) lookups: Limiter,
}

impl Limits {
    pub(crate) fn new(rates: &RateLimits) -> Self {
        Self {
            changes: Limiter::new(rates.changes),
            rooms: Limiter::new(rates.rooms),
            registrations: Limiter::new(rates.registrations),
            login_account: Limiter::new(rates.login_account),
            login_address: Limiter::new(rates.login_address),
            lookups: Limiter::new(rates.lookups),
        }
    }
}

/// One limit.
pub(crate) struct Limiter {
    rate: Option<Rate>,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes a token, or answers 429 with the time until there is one.
    pub(crate) fn take(&self, key: &str) -> Result<(), MatrixError> {
        self.take_at(key, Instant::now())
    }

    /// Gives a token back: what it was taken for does not count.
    pub(crate) fn give_back(&self, key: &str) {
        let Some(rate) = self.rate else { return };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(key) {
            bucket.tokens = (bucket.tokens + 1.0).min(f64::from(rate.burst));
        }
    }

    fn take_at(&self, key: &str, now: Instant) -> Result<(), MatrixError> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_BUCKETS && !buckets.contains_key(key) {
            make_room(&mut buckets, rate, now);
        }
        let full = Bucket { tokens: f64::from(rate.burst), at: now };
        let bucket = buckets.entry(key.to_owned()).or_insert(full);
        bucket.tokens = bucket.filled(rate, now);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(MatrixError::limit_exceeded(wait_ms(1.0 - bucket.tokens, rate)));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

impl Bucket {
    fn filled(self, rate: Rate, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + seconds * rate.per_second).min(f64::from(rate.burst))
    }
}

/// The key of an address: the host, or the network of an IPv6 host.
pub(crate) fn address_key(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        // Requests without an address share one bucket: a server that does not tell addresses is still protected.
        None => String::new(),
        Some(IpAddr::V4(v4)) => v4.to_string(),
        Some(IpAddr::V6(v6)) => v6.octets().iter().take(IPV6_PREFIX_BYTES).map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn make_room(buckets: &mut HashMap<String, Bucket>, rate: Rate, now: Instant) {
    buckets.retain(|_, bucket| bucket.filled(rate, now) < f64::from(rate.burst));
    if buckets.len() >= MAX_BUCKETS {
        // Everyone is over the limit at once: forgetting all of them is kinder than refusing everyone else.
        buckets.clear();
    }
}

fn wait_ms(missing: f64, rate: Rate) -> u64 {
    const LONGEST: Duration = Duration::from_secs(3600);
    let wait = Duration::try_from_secs_f64(missing / rate.per_second).unwrap_or(LONGEST).min(LONGEST);
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_refills() {
        let limiter = Limiter::new(Some(Rate { per_second: 2.0, burst: 3 }));
        let start = Instant::now();
        for _ in 0..3 {
            limiter.take_at("a", start).unwrap();
        }
        let refused = limiter.take_at("a", start).unwrap_err();
        assert_eq!((refused.status, refused.errcode.as_str()), (429, "M_LIMIT_EXCEEDED"));
        assert_eq!(refused.retry_after_ms, Some(500));
        limiter.take_at("b", start).unwrap();
        limiter.take_at("a", start + Duration::from_millis(500)).unwrap();
        limiter.take_at("a", start + Duration::from_millis(500)).unwrap_err();
        limiter.give_back("a");
        limiter.take_at("a", start + Duration::from_millis(500)).unwrap();
    }

    #[test]
    fn no_rate_limits_nothing() {
        let limiter = Limiter::new(None);
        (0..1000).for_each(|_| limiter.take("a").unwrap());
    }

    #[test]
    fn ipv6_hosts_share_their_network() {
        let key = |text: &str| address_key(Some(text.parse().unwrap()));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
