//! `axle bench hub`: what a message costs a hub.
//!
//! A participant (a process of its own) sends LPDUs; the hub verifies, authorises, completes, signs and stores them,
//! and echoes them to every participant (another process). CPU is user and system time of the hub's process, from
//! before the first transaction until every participant has every event.

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;

use super::super::Outcome;
use super::floor::{self, EVENT_BYTES};
use super::machine::Machine;
use super::network::{Certificates, Hub, Peers};
use super::peers::Command as Order;
use super::stats::Figure;

/// Events a transaction: the most that the draft allows.
const FULL_TXN: usize = 50;

#[derive(Debug, clap::Args)]
pub(crate) struct HubArgs {
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Small sizes, for a look or for CI: about half a minute.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// The largest sizes: 1,000,000 events, 10,000 rooms, 10,000 members. Takes many minutes and some gigabytes.
    #[arg(long)]
    full: bool,
    /// How often each figure is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// All figures. CPU in microseconds an event, memory in MiB.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    event_bytes: usize,
    floor_us: Figure,
    hub_cpu_us_per_event: BySize,
    /// The medians over the floor's.
    times_the_floor: Ratios,
    /// What each further destination adds, at 50 events a transaction, from the medians at the fewest and the most.
    extra_destination_us: f64,
    destinations: Vec<Point>,
    history: Vec<Point>,
    rooms: Vec<Point>,
    members: Vec<Point>,
    resident_mib_after_start: f64,
    resident_mib_idle_rooms: Vec<(usize, f64)>,
}

#[derive(Debug, Serialize)]
struct BySize {
    txn_50: Figure,
    txn_1: Figure,
}

#[derive(Debug, Serialize)]
struct Ratios {
    txn_50: f64,
    txn_1: f64,
}

/// One point of a curve.
#[derive(Debug, Serialize)]
struct Point {
    n: usize,
    hub_cpu_us_per_event: Figure,
}

/// How much is measured.
struct Sizes {
    rounds: usize,
    events: usize,
    destinations: &'static [usize],
    history: &'static [usize],
    rooms: &'static [usize],
    members: &'static [usize],
}

impl Sizes {
    fn of(args: &HubArgs) -> Self {
        let rounds = args.rounds.max(1);
        if args.quick {
            let rounds = rounds.min(2);
            let (history, rooms, members) = (&[1_000, 5_000], &[1, 20], &[2, 100]);
            return Self { rounds, events: 1_000, destinations: &[1, 10], history, rooms, members };
        }
        if args.full {
            let (history, rooms, members) =
                (&[1_000, 10_000, 100_000, 1_000_000], &[1, 100, 1_000, 10_000], &[2, 100, 1_000, 10_000]);
            return Self { rounds, events: 10_000, destinations: &[1, 10, 100], history, rooms, members };
        }
        let (history, rooms, members) = (&[1_000, 10_000, 50_000], &[1, 100, 1_000], &[2, 100, 1_000]);
        Self { rounds, events: 5_000, destinations: &[1, 10, 100], history, rooms, members }
    }
}

pub(crate) fn run(args: HubArgs) -> Outcome {
    let sizes = Sizes::of(&args);
    let report = measure(&sizes)?;
    if args.json {
        print(&serde_json::to_string_pretty(&report)?);
    } else {
        print(&report.text());
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout)]
fn print(text: &str) {
    println!("{text}");
}

#[allow(clippy::print_stderr)]
fn say(text: &str) {
    eprintln!("{text}");
}

fn measure(sizes: &Sizes) -> Result<Report, Box<dyn Error>> {
    say("floor: parse, verify, 3 x SHA-256, sign, write");
    let floor_us = floor::measure()?;
    let certificates = Certificates::make()?;

    say("one participant, 50 and 1 events a transaction");
    let mut bench = Bench::start(&certificates, 1)?;
    let resident_mib_after_start = bench.resident_at_start;
    let rooms = bench.rooms(1)?;
    bench.load(&rooms, sizes.events, FULL_TXN)?;
    let txn_50 = bench.rounds(sizes, &rooms, sizes.events, FULL_TXN)?;
    let txn_1 = bench.rounds(sizes, &rooms, sizes.events / 5, 1)?;
    drop(bench);

    let destinations = curve("destinations", sizes.destinations, |n| {
        let mut bench = Bench::start(&certificates, n)?;
        let rooms = bench.rooms(1)?;
        bench.load(&rooms, FULL_TXN * 4, FULL_TXN)?;
        bench.rounds(sizes, &rooms, sizes.events, FULL_TXN)
    })?;
    let history = history(&certificates, sizes)?;
    let mut resident_mib_idle_rooms = Vec::new();
    let rooms = curve("rooms", sizes.rooms, |n| {
        let mut bench = Bench::start(&certificates, 1)?;
        let rooms = bench.rooms(n)?;
        resident_mib_idle_rooms.push((n, bench.hub.resident_mib()?));
        bench.rounds(sizes, &rooms, sizes.events.max(n), FULL_TXN)
    })?;
    let members = curve("members", sizes.members, |n| {
        let mut bench = Bench::start(&certificates, 1)?;
        let rooms = bench.rooms(1)?;
        bench.add_members(&rooms, n)?;
        bench.rounds(sizes, &rooms, sizes.events, FULL_TXN)
    })?;

    let ratio = |figure: &Figure| (figure.median / floor_us.median * 100.0).round() / 100.0;
    Ok(Report {
        machine: Machine::this(),
        event_bytes: EVENT_BYTES,
        times_the_floor: Ratios { txn_50: ratio(&txn_50), txn_1: ratio(&txn_1) },
        extra_destination_us: slope(&destinations),
        floor_us,
        hub_cpu_us_per_event: BySize { txn_50, txn_1 },
        destinations,
        history,
        rooms,
        members,
        resident_mib_after_start,
        resident_mib_idle_rooms,
    })
}

fn curve(
    name: &str,
    sizes: &[usize],
    mut measure: impl FnMut(usize) -> Result<Figure, Box<dyn Error>>,
) -> Result<Vec<Point>, Box<dyn Error>> {
    let mut points = Vec::with_capacity(sizes.len());
    for &n in sizes {
        say(&format!("{n} {name}"));
        points.push(Point { n, hub_cpu_us_per_event: measure(n)? });
    }
    Ok(points)
}

/// One hub whose one room grows.
fn history(certificates: &Certificates, sizes: &Sizes) -> Result<Vec<Point>, Box<dyn Error>> {
    let mut bench = Bench::start(certificates, 1)?;
    let rooms = bench.rooms(1)?;
    curve("events of history", sizes.history, |n| {
        let missing = n.saturating_sub(bench.loaded);
        bench.load(&rooms, missing, FULL_TXN)?;
        bench.rounds(sizes, &rooms, sizes.events.min(n), FULL_TXN)
    })
}

fn slope(points: &[Point]) -> f64 {
    match (points.first(), points.last()) {
        (Some(few), Some(many)) if many.n > few.n => {
            let more = many.hub_cpu_us_per_event.median - few.hub_cpu_us_per_event.median;
            (more / (many.n - few.n) as f64 * 100.0).round() / 100.0
        }
        _ => 0.0,
    }
}

/// A hub with its participants.
struct Bench {
    hub: Hub,
    sender: Peers,
    receivers: Peers,
    resident_at_start: f64,
    loaded: usize,
    expected: u64,
}

impl Bench {
    /// `destinations` servers receive, one of which also sends. The sender and the others are processes apart.
    fn start(certificates: &Certificates, destinations: usize) -> Result<Self, Box<dyn Error>> {
        let mut sender = Peers::start(certificates, "s", 1)?;
        let mut receivers = Peers::start(certificates, "r", destinations.saturating_sub(1))?;
        let mut hub = Hub::start(certificates, &[&sender, &receivers])?;
        let resident_at_start = hub.resident_mib()?;
        hub.register()?;
        sender.run(&hub.introduction())?;
        receivers.run(&hub.introduction())?;
        Ok(Self { hub, sender, receivers, resident_at_start, loaded: 0, expected: 0 })
    }

    /// Makes rooms that every server joins.
    fn rooms(&mut self, count: usize) -> Result<Vec<axle_protocol::RoomId>, Box<dyn Error>> {
        let rooms: Vec<_> = (0..count).map(|_| self.hub.create_room()).collect::<Result<_, _>>()?;
        for server in 0..self.receivers.names.len() {
            self.receivers.run(&Order::Join { server, rooms: rooms.clone() })?;
        }
        // The sender joins last: nobody's join is echoed to it.
        self.sender.run(&Order::Join { server: 0, rooms: rooms.clone() })?;
        Ok(rooms)
    }

    fn add_members(&mut self, rooms: &[axle_protocol::RoomId], members: usize) -> Result<(), Box<dyn Error>> {
        let room = rooms.first().ok_or("no room")?.clone();
        // The creator and the sender are members already.
        let count = members.saturating_sub(2);
        self.sender.run(&Order::Members { server: 0, room, count })?;
        self.expected += count as u64;
        self.wait()
    }

    /// Sends events and waits until every participant has them.
    fn load(&mut self, rooms: &[axle_protocol::RoomId], events: usize, per_txn: usize) -> Result<(), Box<dyn Error>> {
        if events == 0 {
            return Ok(());
        }
        let rooms = rooms.to_vec();
        self.sender.run(&Order::Load { server: 0, rooms, events, per_txn, bytes: EVENT_BYTES })?;
        self.loaded += events;
        self.expected += events as u64;
        self.wait()
    }

    fn wait(&mut self) -> Result<(), Box<dyn Error>> {
        self.sender.run(&Order::Wait { events: self.expected })?;
        if !self.receivers.names.is_empty() {
            self.receivers.run(&Order::Wait { events: self.expected })?;
        }
        Ok(())
    }

    fn rounds(
        &mut self,
        sizes: &Sizes,
        rooms: &[axle_protocol::RoomId],
        events: usize,
        per_txn: usize,
    ) -> Result<Figure, Box<dyn Error>> {
        let mut figures = Vec::with_capacity(sizes.rounds);
        for _ in 0..sizes.rounds {
            let before = self.hub.cpu()?;
            self.load(rooms, events, per_txn)?;
            let used = self.hub.cpu()?.saturating_sub(before);
            figures.push(used.as_secs_f64() * 1e6 / events as f64);
        }
        Ok(Figure::of(figures))
    }
}

impl Report {
    fn text(&self) -> String {
        let mut out = vec![
            format!("floor                      {} us", self.floor_us),
            format!("hub, 50 a transaction      {} us an event", self.hub_cpu_us_per_event.txn_50),
            format!("hub, 1 a transaction       {} us an event", self.hub_cpu_us_per_event.txn_1),
            format!("times the floor            {} and {}", self.times_the_floor.txn_50, self.times_the_floor.txn_1),
            format!("each further destination   {} us an event", self.extra_destination_us),
            format!("resident after start       {:.1} MiB", self.resident_mib_after_start),
        ];
        let curves = [
            ("destinations", &self.destinations),
            ("history", &self.history),
            ("rooms", &self.rooms),
            ("members", &self.members),
        ];
        for (name, points) in curves {
            for point in points {
                out.push(format!("{name:<14} {:>9}   {} us an event", point.n, point.hub_cpu_us_per_event));
            }
        }
        for (rooms, mib) in &self.resident_mib_idle_rooms {
            out.push(format!("resident, rooms {rooms:>8}   {mib:.1} MiB"));
        }
        out.join("\n")
    }
}
