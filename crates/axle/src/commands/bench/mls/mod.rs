//! `axle bench mls`: what MLS costs a hub and its members.
//!
//! Most of it is in this process, without sockets or disks: the library as the server and clients use it. Times are CPU
//! of the one thread. What a hub needs for a commit stands beside what openmls alone takes for the same one, measured in
//! turns. What a message takes from server to server, and what idle rooms cost, needs servers as processes of their own.

mod costs;
mod delivery;
mod floor;
mod group;
mod growth;
mod idle;
mod memory;
mod race;
mod report;
mod room;

use std::process::ExitCode;

use super::super::Outcome;
use super::machine::Machine;
use crate::commands::stage::play;
use report::Report;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Debug, clap::Args)]
pub(crate) struct MlsArgs {
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Small sizes, for a look or for CI: some seconds.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// More rounds, and a group of 2,000 devices. Takes some minutes.
    #[arg(long)]
    full: bool,
    /// Which parts to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::USUAL)]
    only: Vec<Part>,
    /// How often each figure is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Costs,
    Growth,
    Races,
    Memory,
    Delivery,
    /// Takes some minutes: rooms have to be left alone.
    Idle,
}

impl Part {
    /// What is measured unless something else is wanted.
    const USUAL: [Self; 5] = [Self::Costs, Self::Growth, Self::Races, Self::Memory, Self::Delivery];
}

/// How much is measured.
struct Sizes {
    rounds: usize,
    /// Devices of the groups.
    devices: &'static [usize],
    /// Devices of the group that grows.
    growth: usize,
    committers: usize,
    /// Groups that are loaded at once, and their devices.
    loaded: usize,
    loaded_devices: usize,
    /// Devices of the groups in which messages go from server to server, and how many messages.
    delivery: &'static [usize],
    messages: usize,
    /// Rooms that are left alone.
    idle: usize,
}

impl Sizes {
    fn of(args: &MlsArgs) -> Self {
        let rounds = args.rounds.max(1);
        let common = Self {
            rounds,
            devices: &[2, 50, 200, 1000],
            growth: 1000,
            committers: 20,
            loaded: 500,
            loaded_devices: 50,
            delivery: &[2, 50],
            messages: 200,
            idle: 400,
        };
        if args.quick {
            return Self {
                rounds: rounds.min(2),
                devices: &[2, 50],
                growth: 200,
                loaded: 100,
                delivery: &[2],
                ..common
            };
        }
        if args.full {
            return Self { rounds: rounds.max(11), devices: &[2, 50, 200, 1000, 2000], ..common };
        }
        common
    }
}

pub(crate) fn run(args: MlsArgs) -> Outcome {
    let report = measure(&args)?;
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

fn measure(args: &MlsArgs) -> Result<Report> {
    let sizes = Sizes::of(args);
    let wanted = |part| args.only.contains(&part);
    let mut report = Report { machine: Machine::this(), ..Report::default() };
    // First, while nothing else has left its traces in the memory of this process.
    if wanted(Part::Memory) {
        say("memory of groups that are loaded");
        report.memory = Some(memory::measure(sizes.loaded, sizes.loaded_devices)?);
    }
    if wanted(Part::Costs) {
        for &devices in sizes.devices {
            say(&format!("a group of {devices} devices"));
            report.costs.push(costs::measure(devices, sizes.rounds)?);
        }
    }
    if wanted(Part::Growth) {
        say(&format!("a group that grows to {} devices", sizes.growth));
        report.growth = Some(growth::measure(sizes.growth)?);
    }
    if wanted(Part::Races) {
        say(&format!("{} committers at once", sizes.committers));
        report.races = race::measure(sizes.committers)?;
    }
    if wanted(Part::Delivery) {
        say("messages from server to server");
        report.delivery = play(delivery::measure(sizes.delivery, sizes.messages))?;
    }
    if wanted(Part::Idle) {
        say(&format!("{} encrypted rooms that are left alone", sizes.idle));
        report.idle = Some(play(idle::measure(sizes.idle, sizes.loaded_devices))?);
    }
    Ok(report)
}
