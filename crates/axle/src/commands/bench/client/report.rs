//! What `axle bench client` found, as JSON and as text.

use std::time::Duration;

use serde::Serialize;

use super::super::machine::Machine;
use super::super::stats::{Figure, Percentiles};

/// All figures: medians of rounds.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    /// The version that Axle is compared with.
    pub(super) synapse: Option<&'static str>,
    pub(super) comparisons: Vec<Comparison>,
    /// What an incremental sync costs Axle, by what should not matter.
    pub(super) incremental_sync: Vec<Point>,
    pub(super) resident_mib: Resident,
}

/// Memory at the end, in MiB.
#[derive(Debug, Serialize)]
pub(super) struct Resident {
    pub(super) axle: f64,
    pub(super) synapse: Option<f64>,
}

/// One scenario on each server.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) name: String,
    /// What the figures are of.
    pub(super) operation: &'static str,
    /// How many times less CPU than Synapse is wanted.
    pub(super) wanted: Option<f64>,
    /// Of each round, Synapse's CPU over Axle's.
    pub(super) times: Option<Figure>,
    pub(super) axle: Measured,
    pub(super) synapse: Option<Measured>,
}

/// What an incremental sync costs in one situation.
#[derive(Debug, Serialize)]
pub(super) struct Point {
    /// How many rooms the user is in.
    pub(super) rooms: usize,
    /// Events a second of others, in other rooms.
    pub(super) traffic: usize,
    pub(super) measured: Measured,
}

/// One round.
#[derive(Debug, Clone)]
pub(super) struct Round {
    /// CPU of the server an operation, in microseconds.
    cpu_us: f64,
    /// Operations a second.
    rate: f64,
    /// Milliseconds that half, and that 99 of 100 operations took at most.
    p50_ms: f64,
    p99_ms: f64,
}

impl Round {
    /// From the CPU used, the time it took, and how long each operation took.
    pub(super) fn new(used: Duration, elapsed: Duration, latencies: Vec<Duration>) -> Self {
        let count = latencies.len().max(1) as f64;
        let Percentiles { p50_ms, p99_ms, .. } = Percentiles::of(latencies);
        Self { cpu_us: used.as_secs_f64() * 1e6 / count, rate: count / elapsed.as_secs_f64(), p50_ms, p99_ms }
    }

    /// Round by round, how many times the CPU of the second the first needed.
    pub(super) fn ratio(first: &[Self], second: &[Self]) -> Figure {
        Figure::of(
            first.iter().zip(second).map(|(first, second)| first.cpu_us / second.cpu_us.max(f64::EPSILON)).collect(),
        )
    }
}

/// Several rounds of the same.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Measured {
    pub(super) cpu_us: Figure,
    pub(super) per_second: Figure,
    pub(super) p50_ms: Figure,
    pub(super) p99_ms: Figure,
}

impl Measured {
    pub(super) fn of(rounds: &[Round]) -> Self {
        let figure = |of: fn(&Round) -> f64| Figure::of(rounds.iter().map(of).collect());
        Self {
            cpu_us: figure(|round| round.cpu_us),
            per_second: figure(|round| round.rate),
            p50_ms: figure(|round| round.p50_ms),
            p99_ms: figure(|round| round.p99_ms),
        }
    }

    fn text(&self) -> String {
        format!(
            "{} us CPU, p50 {:.2} ms, p99 {:.2} ms, {:.0} a second",
            self.cpu_us, self.p50_ms.median, self.p99_ms.median, self.per_second.median
        )
    }
}

impl Comparison {
    pub(super) fn text(&self) -> String {
        let mut out = format!("{}: {}\n  axle     {}", self.name, self.operation, self.axle.text());
        if let Some(synapse) = &self.synapse {
            out.push_str(&format!("\n  synapse  {}", synapse.text()));
        }
        if let Some(times) = self.times {
            out.push_str(&format!("\n  synapse needs {times} times the CPU"));
            if let Some(wanted) = self.wanted {
                let verdict = if times.median >= wanted { "reached" } else { "missed" };
                out.push_str(&format!("   (at least {wanted}: {verdict})"));
            }
        }
        out
    }
}

impl Point {
    pub(super) fn text(&self) -> String {
        let Self { rooms, traffic, measured } = self;
        format!("incremental sync, {rooms} rooms of the user, {traffic} events/s of others: {}", measured.text())
    }
}

impl Report {
    pub(super) fn text(&self) -> String {
        let mut out: Vec<String> = self.comparisons.iter().map(Comparison::text).collect();
        out.extend(self.incremental_sync.iter().map(Point::text));
        let synapse = self.resident_mib.synapse.map(|mib| format!(", Synapse {mib:.1} MiB")).unwrap_or_default();
        out.push(format!("resident at the end: Axle {:.1} MiB{synapse}", self.resident_mib.axle));
        out.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_tells_cpu_an_operation_and_where_latencies_lie() {
        let latencies = (1..=100).rev().map(Duration::from_millis).collect();
        let round = Round::new(Duration::from_millis(50), Duration::from_secs(2), latencies);
        assert_eq!((round.cpu_us, round.rate, round.p50_ms, round.p99_ms), (500.0, 50.0, 50.0, 99.0));
        let dear = Round { cpu_us: 25_000.0, ..round.clone() };
        assert_eq!(Round::ratio(&[dear], &[round]).median, 50.0);
    }
}
