//! Medians with their spread.

use std::time::Duration;

use serde::Serialize;

/// A figure from several rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Figure {
    /// The middle one.
    pub(super) median: f64,
    /// The least.
    pub(super) min: f64,
    /// The most.
    pub(super) max: f64,
    /// How many rounds.
    pub(super) rounds: usize,
}

impl Figure {
    /// From at least one measurement; all zero if there is none.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let rounds = values.len();
        let median = match rounds {
            0 => 0.0,
            n if n % 2 == 1 => values[n / 2],
            n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
        };
        let min = values.first().copied().unwrap_or(0.0);
        let max = values.last().copied().unwrap_or(0.0);
        Self { median: round(median), min: round(min), max: round(max), rounds }
    }
}

/// How long many of the same took, in milliseconds: half of them, and 99 of 100, at most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Percentiles {
    /// Half of them.
    pub(super) p50_ms: f64,
    /// 99 of 100.
    pub(super) p99_ms: f64,
    /// How many were measured.
    pub(super) count: usize,
}

impl Percentiles {
    /// All zero if there are none.
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let count = times.len();
        let at = |share: f64| {
            let index = ((count as f64 * share).ceil() as usize).saturating_sub(1);
            times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        Self { p50_ms: at(0.5), p99_ms: at(0.99), count }
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ({:.1} to {:.1}, {} rounds)", self.median, self.min, self.max, self.rounds)
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_the_spread_its_ends() {
        let figure = Figure::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((figure.median, figure.min, figure.max), (2.0, 1.0, 3.0));
        assert_eq!(Figure::of(vec![1.0, 2.0]).median, 1.5);
    }

    #[test]
    fn percentiles_are_what_so_many_took_at_most() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let found = Percentiles::of(times);
        assert_eq!((found.p50_ms, found.p99_ms, found.count), (100.0, 198.0, 200));
        assert_eq!(Percentiles::of(Vec::new()).p99_ms, 0.0);
    }
}
