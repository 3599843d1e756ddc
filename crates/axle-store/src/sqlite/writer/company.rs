//! Who makes a small write: the thread that asks for it, or the writer's.
//!
//! Handing over costs two wakes of threads, an eighth of what an event costs a hub that is sent them one by one. Whoever
//! writes alone can commit where he is. Where several write, the thread gathers their writes while it commits, which is
//! worth far more, and those who ask have other things to do meanwhile.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// After so many writes that were alone, the next are made by those who ask.
pub(super) const ALONE: u32 = 16;
/// So many. Who commits does not see who comes meanwhile.
const HERE: u32 = 128;
/// Then so many by the thread, to see whether they still are alone.
const LOOKS: u32 = 4;
/// Where a commit takes longer than this, on the average, nobody waits for it who serves others as well.
const QUICK: Duration = Duration::from_millis(1);
/// What the newest commit counts in that average: one part of so many.
const WEIGHT: u64 = 8;

/// Who else writes, and how long it takes.
#[derive(Debug, Default)]
pub(super) struct Company {
    asking: AtomicUsize,
    /// How many writes in a row were alone.
    alone: AtomicU32,
    average_us: AtomicU64,
}

/// Somebody who waits for a write.
pub(super) struct Asking<'a> {
    company: &'a Company,
    alone: u32,
}

impl Company {
    /// Held until the write is answered.
    pub(super) fn ask(&self) -> Asking<'_> {
        let others = self.asking.fetch_add(1, Ordering::AcqRel);
        let alone = if others > 0 { 0 } else { self.alone.load(Ordering::Relaxed) + 1 };
        // Who counts at the same time is not alone: a count that is lost does no harm.
        self.alone.store(if alone >= ALONE + HERE { ALONE - LOOKS } else { alone }, Ordering::Relaxed);
        Asking { company: self, alone }
    }

    /// A commit took so long.
    pub(super) fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX) / WEIGHT;
        let average = self.average_us.load(Ordering::Relaxed);
        self.average_us.store(average - average / WEIGHT + micros, Ordering::Relaxed);
    }
}

impl Asking<'_> {
    /// Whether to make the write here and now.
    pub(super) fn is_alone(&self) -> bool {
        let average = Duration::from_micros(self.company.average_us.load(Ordering::Relaxed));
        self.alone > ALONE && average <= QUICK
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.company.asking.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(company: &Company, writes: u32) -> Vec<bool> {
        (0..writes).map(|_| company.ask().is_alone()).collect()
    }

    #[test]
    fn who_is_alone_for_a_while_writes_himself_and_looks_round_now_and_then() {
        let company = Company::default();
        let mut expected = vec![false; ALONE as usize];
        for _ in 0..2 {
            expected.extend(vec![true; HERE as usize]);
            expected.extend(vec![false; LOOKS as usize]);
        }
        let writes = u32::try_from(expected.len()).unwrap();
        assert_eq!(places(&company, writes), expected);
    }

    #[test]
    fn who_has_company_does_not() {
        let company = Company::default();
        assert!(places(&company, ALONE + 1).ends_with(&[true]));
        let first = company.ask();
        assert!(first.is_alone(), "nobody has come yet");
        assert!(!company.ask().is_alone());
        drop(first);
        assert!(!places(&company, ALONE).contains(&true), "it starts from the beginning");
    }

    #[test]
    fn nobody_waits_for_a_slow_disk() {
        let company = Company::default();
        places(&company, ALONE);
        company.took(QUICK * 10);
        assert!(!company.ask().is_alone());
        for _ in 0..4 * WEIGHT {
            company.took(QUICK / 10);
        }
        assert!(company.ask().is_alone(), "it is quick again");
    }
}
