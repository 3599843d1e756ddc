//! When to try again.

/// After the first failure, in milliseconds.
pub const FIRST_DELAY_MS: u64 = 500;
/// The most that backing off leads to.
pub const MAX_DELAY_MS: u64 = 300_000;
/// The most that another server's `retry_after_ms` is followed.
pub const MAX_RETRY_AFTER_MS: u64 = 3_600_000;
/// After `M_BAD_STATE`: an earlier request of ours is still in work there.
pub const BAD_STATE_DELAY_MS: u64 = 1_000;

/// Doubling delays with jitter.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    random: u64,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { failures: 0, random: seed }
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The delay after one more failure: from three quarters of the nominal one up to all of it.
    pub(super) fn fail(&mut self, retry_after_ms: Option<u64>) -> u64 {
        let nominal = FIRST_DELAY_MS.saturating_mul(1 << self.failures.min(20)).min(MAX_DELAY_MS);
        self.failures = self.failures.saturating_add(1);
        let delay = nominal - self.below(nominal / 4);
        delay.max(retry_after_ms.unwrap_or(0).min(MAX_RETRY_AFTER_MS))
    }

    /// A delay that does not count as a failure.
    pub(super) fn pause(&mut self) -> u64 {
        BAD_STATE_DELAY_MS + self.below(BAD_STATE_DELAY_MS)
    }

    /// splitmix64: spread matters here, not secrecy.
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }
}
