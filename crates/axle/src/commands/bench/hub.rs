//! `axle bench hub`: what a message costs a hub.
//!
//! A participant (a process of its own) sends LPDUs; the hub verifies, authorises, completes, signs and stores them,
//! and echoes them to every participant (another process). CPU is user and system time of the hub's process, from
//! before the first transaction until every participant has every event. Each round has the floor measured before and
//! after it.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use axle_protocol::RoomId;

use super::super::Outcome;
use super::floor::{EVENT_BYTES, Floor};
use super::machine::Machine;
use super::network::{Certificates, Hub, Peers};
use super::peers::Command as Order;
use super::report::{BySize, IdleRooms, Measured, Point, Report, Round, Spread};

/// Events a transaction: the most that the draft allows.
const FULL_TXN: usize = 50;
/// A server answers before it has given back what only its start needed; after this long it has.
const SETTLED: Duration = Duration::from_millis(500);
/// What the sender prepares at a time, in its memory. More than a round has, so that a round is not interrupted.
const EVENTS_PER_ORDER: usize = 10_000;

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
    /// Which curves to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Curve::ALL)]
    curves: Vec<Curve>,
    /// How often each figure is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// What CPU is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Curve {
    Destinations,
    History,
    Rooms,
    Members,
}

impl Curve {
    const ALL: [Self; 4] = [Self::Destinations, Self::History, Self::Rooms, Self::Members];
}

/// How much is measured.
struct Sizes {
    rounds: usize,
    /// Of a round, at 50 a transaction.
    events: usize,
    /// Of a round, at 1 a transaction.
    singles: usize,
    destinations: &'static [usize],
    history: &'static [usize],
    rooms: &'static [usize],
    members: &'static [usize],
}

impl Sizes {
    fn of(args: &HubArgs) -> Self {
        let all = Self::of_all(args);
        let wanted = |curve, sizes| if args.curves.contains(&curve) { sizes } else { &[][..] };
        Self {
            destinations: wanted(Curve::Destinations, all.destinations),
            history: wanted(Curve::History, all.history),
            rooms: wanted(Curve::Rooms, all.rooms),
            members: wanted(Curve::Members, all.members),
            ..all
        }
    }

    fn of_all(args: &HubArgs) -> Self {
        let rounds = args.rounds.max(1);
        if args.quick {
            return Self {
                rounds: rounds.min(2),
                events: 1_000,
                singles: 400,
                destinations: &[1, 10],
                history: &[1_000, 5_000],
                rooms: &[1, 20],
                members: &[2, 100],
            };
        }
        if args.full {
            return Self {
                rounds,
                events: 10_000,
                singles: 2_000,
                destinations: &[1, 10, 100],
                history: &[1_000, 10_000, 100_000, 1_000_000],
                rooms: &[1, 100, 1_000, 10_000],
                members: &[2, 100, 1_000, 10_000],
            };
        }
        Self {
            rounds,
            events: 5_000,
            singles: 1_000,
            destinations: &[1, 10, 100],
            history: &[1_000, 10_000, 50_000],
            rooms: &[1, 100, 1_000],
            members: &[2, 100, 1_000],
        }
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

/// Tells what was measured so far: a run that is cut short has shown what it had.
fn tell(what: &str, measured: &Measured) {
    let (cpu, times) = (measured.cpu_us, measured.times_the_floor.median);
    say(&format!("{what}: {cpu} us an event, {times} times the floor"));
}

fn measure(sizes: &Sizes) -> Result<Report, Box<dyn Error>> {
    let mut floor = Floor::new()?;
    let certificates = Certificates::make()?;

    say("one participant, 50 and 1 events a transaction");
    let mut bench = Bench::start(&certificates, 1)?;
    let resident_mib_after_start = bench.resident_at_start;
    let rooms = bench.rooms(1)?;
    bench.load(&rooms, sizes.events, FULL_TXN)?;
    let txn_50 = bench.rounds(&mut floor, sizes.rounds, &rooms, sizes.events, FULL_TXN)?;
    tell("50 events a transaction", &txn_50);
    bench.load(&rooms, sizes.singles / 5, 1)?;
    let txn_1 = bench.rounds(&mut floor, sizes.rounds, &rooms, sizes.singles, 1)?;
    tell("1 event a transaction", &txn_1);
    drop(bench);

    let destinations = curve("destinations", sizes.destinations, |n| {
        let mut bench = Bench::start(&certificates, n)?;
        let rooms = bench.rooms(1)?;
        bench.load(&rooms, sizes.events, FULL_TXN)?;
        bench.rounds(&mut floor, sizes.rounds, &rooms, sizes.events, FULL_TXN)
    })?;
    let history = history(&certificates, &mut floor, sizes)?;
    let (mut resident_mib_idle_rooms, mut rooms_mixed) = (Vec::new(), Vec::new());
    let rooms = curve("rooms", sizes.rooms, |n| {
        let mut bench = Bench::start(&certificates, 1)?;
        let rooms = bench.rooms(n)?;
        resident_mib_idle_rooms.push(IdleRooms { rooms: n, resident_mib: bench.hub.resident_mib()? });
        bench.load(&rooms, sizes.events, FULL_TXN)?;
        let measured = bench.rounds(&mut floor, sizes.rounds, &rooms, sizes.events, FULL_TXN)?;
        bench.mixed = true;
        bench.load(&rooms, sizes.events, FULL_TXN)?;
        rooms_mixed
            .push(Point { n, measured: bench.rounds(&mut floor, sizes.rounds, &rooms, sizes.events, FULL_TXN)? });
        Ok(measured)
    })?;
    let members = curve("members", sizes.members, |n| {
        let mut bench = Bench::start(&certificates, 1)?;
        let rooms = bench.rooms(1)?;
        bench.add_members(&rooms, n)?;
        bench.load(&rooms, sizes.events, FULL_TXN)?;
        bench.rounds(&mut floor, sizes.rounds, &rooms, sizes.events, FULL_TXN)
    })?;

    let spread = Spread::new(floor.rounds(), txn_50, txn_1, &destinations);
    Ok(Report {
        machine: Machine::this(),
        event_bytes: EVENT_BYTES,
        floor_us: spread.floor_us.median,
        hub_cpu_us_per_event: BySize { txn_50: txn_50.cpu_us.median, txn_1: txn_1.cpu_us.median },
        times_the_floor: BySize { txn_50: txn_50.times_the_floor.median, txn_1: txn_1.times_the_floor.median },
        extra_destination_us: spread.extra_destination_us.median,
        spread,
        destinations,
        history,
        rooms,
        rooms_mixed,
        members,
        resident_mib_after_start,
        resident_mib_idle_rooms,
    })
}

fn curve(
    name: &str,
    sizes: &[usize],
    mut measure: impl FnMut(usize) -> Result<Measured, Box<dyn Error>>,
) -> Result<Vec<Point>, Box<dyn Error>> {
    let mut points = Vec::with_capacity(sizes.len());
    for &n in sizes {
        say(&format!("{n} {name}"));
        let measured = measure(n)?;
        tell(&format!("{n} {name}"), &measured);
        points.push(Point { n, measured });
    }
    Ok(points)
}

/// One hub whose one room grows.
fn history(certificates: &Certificates, floor: &mut Floor, sizes: &Sizes) -> Result<Vec<Point>, Box<dyn Error>> {
    if sizes.history.is_empty() {
        return Ok(Vec::new());
    }
    let mut bench = Bench::start(certificates, 1)?;
    let rooms = bench.rooms(1)?;
    curve("events of history", sizes.history, |n| {
        let missing = n.saturating_sub(bench.loaded);
        bench.load(&rooms, missing, FULL_TXN)?;
        bench.rounds(floor, sizes.rounds, &rooms, sizes.events.min(n), FULL_TXN)
    })
}

/// A hub with its participants.
struct Bench {
    hub: Hub,
    sender: Peers,
    receivers: Peers,
    resident_at_start: f64,
    /// Whether the events of a transaction are of different rooms.
    mixed: bool,
    loaded: usize,
    expected: u64,
}

impl Bench {
    /// `destinations` servers receive, one of which also sends. The sender and the others are processes apart.
    fn start(certificates: &Certificates, destinations: usize) -> Result<Self, Box<dyn Error>> {
        let mut sender = Peers::start(certificates, "s", 1)?;
        let mut receivers = Peers::start(certificates, "r", destinations.saturating_sub(1))?;
        let mut hub = Hub::start(certificates, &[&sender, &receivers])?;
        std::thread::sleep(SETTLED);
        let resident_at_start = hub.resident_mib()?;
        hub.register()?;
        sender.run(&hub.introduction())?;
        receivers.run(&hub.introduction())?;
        Ok(Self { hub, sender, receivers, resident_at_start, mixed: false, loaded: 0, expected: 0 })
    }

    /// Makes rooms that every server joins.
    fn rooms(&mut self, count: usize) -> Result<Vec<RoomId>, Box<dyn Error>> {
        let rooms = self.hub.create_rooms(count)?;
        for server in 0..self.receivers.names.len() {
            self.receivers.run(&Order::Join { server, rooms: rooms.clone() })?;
        }
        // The sender joins last: nobody's join is echoed to it.
        self.sender.run(&Order::Join { server: 0, rooms: rooms.clone() })?;
        Ok(rooms)
    }

    fn add_members(&mut self, rooms: &[RoomId], members: usize) -> Result<(), Box<dyn Error>> {
        let room = rooms.first().ok_or("no room")?.clone();
        // The creator and the sender are members already.
        let count = members.saturating_sub(2);
        self.sender.run(&Order::Members { server: 0, room, count })?;
        self.expected += count as u64;
        self.wait()
    }

    /// Sends events and waits until every participant has them.
    fn load(&mut self, rooms: &[RoomId], events: usize, per_txn: usize) -> Result<(), Box<dyn Error>> {
        let mut left = events;
        while left > 0 {
            let events = left.min(EVENTS_PER_ORDER);
            let (rooms, mixed) = (rooms.to_vec(), self.mixed);
            self.sender.run(&Order::Load { server: 0, rooms, mixed, events, per_txn, bytes: EVENT_BYTES })?;
            left -= events;
            self.loaded += events;
            self.expected += events as u64;
            self.wait()?;
        }
        Ok(())
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
        floor: &mut Floor,
        rounds: usize,
        rooms: &[RoomId],
        events: usize,
        per_txn: usize,
    ) -> Result<Measured, Box<dyn Error>> {
        let mut measured = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let floor_before = floor.measure()?;
            let before = self.hub.cpu()?;
            self.load(rooms, events, per_txn)?;
            let used = self.hub.cpu()?.saturating_sub(before);
            // The machine may have become slower or faster meanwhile.
            let floor_us = f64::midpoint(floor_before, floor.measure()?);
            measured.push(Round { floor_us, cpu_us: used.as_secs_f64() * 1e6 / events as f64 });
        }
        Ok(Measured::of(&measured))
    }
}
