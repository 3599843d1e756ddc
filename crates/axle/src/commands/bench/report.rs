//! What `axle bench hub` found, as JSON and as text.

use serde::Serialize;

use super::machine::Machine;
use super::stats::Figure;

/// What the project wants to reach: times the floor, microseconds, MiB.
const AT_MOST_AT_50: f64 = 2.0;
const AT_MOST_AT_1: f64 = 8.0;
const AT_MOST_A_DESTINATION_US: f64 = 15.0;
const AT_MOST_AFTER_START_MIB: f64 = 30.0;

/// All figures: medians of rounds. CPU in microseconds an event, memory in MiB.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) event_bytes: usize,
    pub(super) floor_us: f64,
    pub(super) hub_cpu_us_per_event: BySize<f64>,
    /// Of each round, over the floor measured beside it.
    pub(super) times_the_floor: BySize<f64>,
    /// What each further destination adds, at 50 events a transaction, between the fewest and the most.
    pub(super) extra_destination_us: f64,
    pub(super) spread: Spread,
    pub(super) destinations: Vec<Point>,
    pub(super) history: Vec<Point>,
    /// Each transaction is for another room.
    pub(super) rooms: Vec<Point>,
    /// Each event of a transaction is for another room.
    pub(super) rooms_mixed: Vec<Point>,
    pub(super) members: Vec<Point>,
    pub(super) resident_mib_after_start: f64,
    pub(super) resident_mib_idle_rooms: Vec<IdleRooms>,
}

/// By the number of events in a transaction.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct BySize<T> {
    pub(super) txn_50: T,
    pub(super) txn_1: T,
}

/// How far the rounds lie apart.
#[derive(Debug, Serialize)]
pub(super) struct Spread {
    pub(super) floor_us: Figure,
    pub(super) hub_cpu_us_per_event: BySize<Figure>,
    pub(super) times_the_floor: BySize<Figure>,
    pub(super) extra_destination_us: Figure,
}

/// Memory with rooms that nobody uses.
#[derive(Debug, Serialize)]
pub(super) struct IdleRooms {
    pub(super) rooms: usize,
    pub(super) resident_mib: f64,
}

/// One point of a curve.
#[derive(Debug, Serialize)]
pub(super) struct Point {
    pub(super) n: usize,
    #[serde(flatten)]
    pub(super) measured: Measured,
}

/// One round.
pub(super) struct Round {
    pub(super) floor_us: f64,
    pub(super) cpu_us: f64,
}

/// Several rounds of the same.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Measured {
    #[serde(rename = "hub_cpu_us_per_event")]
    pub(super) cpu_us: Figure,
    pub(super) times_the_floor: Figure,
}

impl Measured {
    pub(super) fn of(rounds: &[Round]) -> Self {
        Self {
            cpu_us: Figure::of(rounds.iter().map(|round| round.cpu_us).collect()),
            times_the_floor: Figure::of(rounds.iter().map(|round| round.cpu_us / round.floor_us).collect()),
        }
    }
}

impl Spread {
    pub(super) fn new(floor: &[f64], txn_50: Measured, txn_1: Measured, destinations: &[Point]) -> Self {
        Self {
            floor_us: Figure::of(floor.to_vec()),
            hub_cpu_us_per_event: BySize { txn_50: txn_50.cpu_us, txn_1: txn_1.cpu_us },
            times_the_floor: BySize { txn_50: txn_50.times_the_floor, txn_1: txn_1.times_the_floor },
            extra_destination_us: slope(destinations),
        }
    }
}

/// What one more adds, between the fewest and the most; its spread is the widest that the rounds allow.
fn slope(points: &[Point]) -> Figure {
    let [few, .., many] = points else { return Figure::of(Vec::new()) };
    let more = many.n.saturating_sub(few.n).max(1) as f64;
    let (few, many) = (few.measured.cpu_us, many.measured.cpu_us);
    let between = [(few.max, many.min), (few.median, many.median), (few.min, many.max)];
    let slopes = between.map(|(few, many)| (many - few) / more);
    Figure { rounds: many.rounds, ..Figure::of(slopes.to_vec()) }
}

impl Report {
    pub(super) fn text(&self) -> String {
        let spread = &self.spread;
        let times = &spread.times_the_floor;
        let mut out = vec![
            format!("floor                      {} us", spread.floor_us),
            format!("hub, 50 a transaction      {} us an event", spread.hub_cpu_us_per_event.txn_50),
            format!("hub, 1 a transaction       {} us an event", spread.hub_cpu_us_per_event.txn_1),
            format!("times the floor, 50        {}{}", times.txn_50, judged(times.txn_50.median, AT_MOST_AT_50)),
            format!("times the floor, 1         {}{}", times.txn_1, judged(times.txn_1.median, AT_MOST_AT_1)),
            format!(
                "each further destination   {} us an event{}",
                spread.extra_destination_us,
                judged_if_measured(spread.extra_destination_us, AT_MOST_A_DESTINATION_US)
            ),
            format!(
                "resident after start       {:.1} MiB{}",
                self.resident_mib_after_start,
                judged(self.resident_mib_after_start, AT_MOST_AFTER_START_MIB)
            ),
        ];
        let curves = [
            ("destinations", &self.destinations),
            ("history", &self.history),
            ("rooms", &self.rooms),
            ("rooms, mixed", &self.rooms_mixed),
            ("members", &self.members),
        ];
        for (name, points) in curves {
            for Point { n, measured } in points {
                let times = measured.times_the_floor.median;
                out.push(format!("{name:<14} {n:>9}   {} us an event, {times} times the floor", measured.cpu_us));
            }
        }
        for IdleRooms { rooms, resident_mib } in &self.resident_mib_idle_rooms {
            out.push(format!("resident, rooms {rooms:>8}   {resident_mib:.1} MiB"));
        }
        out.join("\n")
    }
}

fn judged_if_measured(figure: Figure, at_most: f64) -> String {
    if figure.rounds == 0 { "   (not measured)".to_owned() } else { judged(figure.median, at_most) }
}

fn judged(value: f64, at_most: f64) -> String {
    let verdict = if value <= at_most { "reached" } else { "missed" };
    format!("   (at most {at_most}: {verdict})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_costs_what_more_of_them_add() {
        let point = |n, cpu: [f64; 3]| {
            let rounds = cpu.map(|cpu_us| Round { floor_us: 50.0, cpu_us });
            Point { n, measured: Measured::of(&rounds) }
        };
        let points = [point(1, [90.0, 100.0, 110.0]), point(10, [1.0, 1.0, 1.0]), point(101, [590.0, 600.0, 710.0])];
        let slope = slope(&points);
        assert_eq!((slope.min, slope.median, slope.max, slope.rounds), (4.8, 5.0, 6.2, 3));
        assert_eq!(points[0].measured.times_the_floor.median, 2.0);
        assert_eq!(judged_if_measured(self::slope(&[]), 15.0), "   (not measured)");
        assert_eq!(judged(2.0, 2.0), "   (at most 2: reached)");
        assert_eq!(judged(2.1, 2.0), "   (at most 2: missed)");
    }
}
