//! How long a `.well-known` answer is believed ("`GET /.well-known/matrix/server`").

use std::time::{Duration, Instant};

use axle_protocol::ServerName;

/// Without cache control headers.
pub const DEFAULT_TTL: Duration = Duration::from_secs(24 * 3600);
/// Whatever the headers say.
pub const MAX_TTL: Duration = Duration::from_secs(48 * 3600);
/// Whatever the headers say: a peer cannot make us ask at every connection.
pub const MIN_TTL: Duration = Duration::from_secs(60);
/// After the first failure; doubles with each further one.
pub const FIRST_ERROR_TTL: Duration = Duration::from_secs(30);
/// Failures are remembered no longer than this.
pub const MAX_ERROR_TTL: Duration = Duration::from_secs(3600);

/// An answer and how long it holds.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// `None`: the answer was invalid, or there was none.
    pub(super) delegated: Option<ServerName>,
    until: Instant,
    failures: u32,
}

impl Entry {
    /// A valid answer with its `Cache-Control` header.
    pub(super) fn valid(delegated: ServerName, cache_control: Option<&str>, now: Instant) -> Self {
        let ttl = cache_control.and_then(max_age).unwrap_or(DEFAULT_TTL).clamp(MIN_TTL, MAX_TTL);
        Self { delegated: Some(delegated), until: now + ttl, failures: 0 }
    }

    /// An invalid answer, after `previous`.
    pub(super) fn invalid(previous: Option<&Entry>, now: Instant) -> Self {
        let before = previous.map_or(0, |entry| entry.failures);
        let factor = 2u32.saturating_pow(before.min(16));
        let ttl = FIRST_ERROR_TTL.saturating_mul(factor).min(MAX_ERROR_TTL);
        Self { delegated: None, until: now + ttl, failures: before.saturating_add(1) }
    }

    /// Whether it still holds.
    pub(super) fn holds(&self, now: Instant) -> bool {
        now < self.until
    }
}

/// `max-age` of a `Cache-Control` header; nothing at all if it forbids keeping the answer; `None` if it says neither.
fn max_age(header: &str) -> Option<Duration> {
    let mut age = None;
    for directive in header.split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let name = name.trim();
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return Some(Duration::ZERO);
        }
        if name.eq_ignore_ascii_case("max-age") {
            age = value.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
        }
    }
    age
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ttl_of(header: Option<&str>) -> Duration {
        let now = Instant::now();
        let entry = Entry::valid(ServerName::parse("d.example.org").unwrap(), header, now);
        entry.until - now
    }

    #[test]
    fn headers_are_respected_within_limits() {
        assert_eq!(ttl_of(None), DEFAULT_TTL);
        assert_eq!(ttl_of(Some("public, max-age=7200")), Duration::from_secs(7200));
        assert_eq!(ttl_of(Some("Max-Age=\"300\"")), Duration::from_secs(300));
        assert_eq!(ttl_of(Some("max-age=99999999")), MAX_TTL);
        assert_eq!(ttl_of(Some("max-age=99999999999999999999")), DEFAULT_TTL);
        assert_eq!(ttl_of(Some("no-store, max-age=7200")), MIN_TTL);
        assert_eq!(ttl_of(Some("max-age=0")), MIN_TTL);
        assert_eq!(ttl_of(Some("private")), DEFAULT_TTL);
    }

    #[test]
    fn failures_back_off_to_an_hour_and_recover() {
        let now = Instant::now();
        let mut entry = Entry::invalid(None, now);
        let mut last = entry.until - now;
        assert_eq!(last, FIRST_ERROR_TTL);
        for _ in 0..40 {
            entry = Entry::invalid(Some(&entry), now);
            let ttl = entry.until - now;
            assert!(ttl == MAX_ERROR_TTL || ttl == last * 2);
            last = ttl;
        }
        assert_eq!(last, MAX_ERROR_TTL);
        let valid = Entry::valid(ServerName::parse("d.example.org").unwrap(), None, now);
        assert_eq!(Entry::invalid(Some(&valid), now).until - now, FIRST_ERROR_TTL);
    }

    #[test]
    fn an_entry_ends() {
        let now = Instant::now();
        let entry = Entry::valid(ServerName::parse("d.example.org").unwrap(), Some("max-age=100"), now);
        assert!(entry.holds(now + Duration::from_secs(99)));
        assert!(!entry.holds(now + Duration::from_secs(100)));
    }
}
