//! How often a server is sent something new.
//!
//! A transaction costs both servers a request, its signature and two wakes, whatever is in it. Who is sent events one by one all
//! the time gets them in transactions of several, each a moment later; who is sent little gets it at once. So does a hub its
//! LPDUs: whoever sent one waits until it comes back.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// On the average over a while, a transaction that is not full goes out so seldom.
const INTERVAL: Duration = Duration::from_millis(10);
/// So many go out without any wait, when few have before.
const BURST: u32 = 100;
/// A transaction with so many events and EDUs is worth its price.
const FULL: usize = 25;

/// What was sent lately, as one point in time (the generic cell rate algorithm): it moves on with each transaction, and may be
/// ahead of the clock by a burst.
#[derive(Debug)]
pub(super) struct Pace {
    spent_until: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { spent_until: now }
    }

    /// A transaction with so many events and EDUs goes out.
    pub(super) fn sent(&mut self, items: usize, now: Instant) {
        if items < FULL {
            self.spent_until = self.spent_until.max(now) + INTERVAL;
        }
    }

    /// When the next may.
    fn next(&self) -> Option<Instant> {
        self.spent_until.checked_sub(INTERVAL * BURST)
    }

    /// Waits for a signal, and then until what it is about may go out; what is urgent may at once. Dropped before that, it leaves
    /// the signal as it found it.
    pub(super) async fn woken(&self, signal: &Notify, is_urgent: impl Fn() -> bool) {
        signal.notified().await;
        let unheeded = Unheeded(signal);
        while let Some(next) = self.next().filter(|next| *next > Instant::now())
            && !is_urgent()
        {
            tokio::select! {
                () = sleep_until(next) => break,
                // There is more now.
                () = signal.notified() => {}
            }
        }
        std::mem::forget(unheeded);
    }
}

/// Gives a signal back.
struct Unheeded<'a>(&'a Notify);

impl Drop for Unheeded<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    fn wait(pace: &Pace, now: Instant) -> Duration {
        pace.next().map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }

    #[test]
    fn who_is_sent_little_gets_it_at_once() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..3 {
            for _ in 0..BURST {
                assert_eq!(wait(&pace, now), Duration::ZERO);
                pace.sent(1, now);
            }
            now += INTERVAL * BURST;
        }
    }

    #[test]
    fn a_stream_goes_out_in_steps() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..BURST {
            pace.sent(1, now);
        }
        for _ in 0..20 {
            assert_eq!(wait(&pace, now), Duration::ZERO);
            pace.sent(FULL - 1, now);
            assert_eq!(wait(&pace, now), INTERVAL);
            now += INTERVAL;
        }
        // What is full has no price.
        for _ in 0..20 {
            pace.sent(FULL, now);
            assert_eq!(wait(&pace, now), Duration::ZERO);
        }
    }

    fn spent() -> Pace {
        let mut pace = Pace::new(Instant::now());
        for _ in 0..BURST * 2 {
            pace.sent(1, Instant::now());
        }
        pace
    }

    #[tokio::test]
    async fn a_signal_that_is_not_waited_for_is_not_lost() {
        let pace = spent();
        let signal = Notify::new();
        assert!(pace.woken(&signal, || false).now_or_never().is_none(), "there is none");
        signal.notify_one();
        assert!(pace.woken(&signal, || false).now_or_never().is_none(), "it is too early");
        assert!(signal.notified().now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_is_urgent_does_not_wait() {
        let pace = spent();
        let signal = Notify::new();
        let urgent = Cell::new(false);
        let mut woken = pin!(pace.woken(&signal, || urgent.get()));
        signal.notify_one();
        assert!(woken.as_mut().now_or_never().is_none(), "an event can wait");
        signal.notify_one();
        assert!(woken.as_mut().now_or_never().is_none(), "and so can two");
        urgent.set(true);
        signal.notify_one();
        assert!(woken.as_mut().now_or_never().is_some());
    }
}
