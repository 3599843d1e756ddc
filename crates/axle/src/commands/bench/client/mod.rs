//! `axle bench client`: what clients cost a homeserver, Axle and Synapse side by side in one run.
//!
//! Both servers are processes of their own, on SQLite, each with an empty database; the clients are in this process,
//! whose CPU does not count. Rounds go in turns. CPU is user and system time of the server's process.

mod growth;
mod homeserver;
mod report;
mod scenario;
mod scenarios;
mod synapse;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::Outcome;
use super::machine::Machine;
use growth::Growth;
use homeserver::{Homeserver, Passwords};
use report::{Comparison, Report, Resident};
use scenario::{Servers, compare};
use scenarios::{FirstSync, History, Join, Login, Protocol, Send, Wake};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + std::marker::Send + Sync>>;

#[derive(Debug, clap::Args)]
pub(crate) struct ClientArgs {
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Small sizes, for a look or for CI.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// The largest sizes: 1,000 clients that wait, 1,000 rooms beside Synapse, 10,000 members and 5,000 rooms on Axle.
    /// Takes half an hour, nearly all of it Synapse's.
    #[arg(long)]
    full: bool,
    /// Which scenarios to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
    only: Vec<Part>,
    /// How often each figure is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measure Axle alone.
    #[arg(long)]
    no_synapse: bool,
    /// A Python that has Synapse. Without it, Synapse is installed from PyPI below the user's cache folder.
    #[arg(long, conflicts_with = "no_synapse")]
    synapse_python: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Send,
    Wake,
    InitialSync,
    SlidingSync,
    Messages,
    Join,
    Login,
    IncrementalSync,
}

impl Part {
    const ALL: [Self; 8] = [
        Self::Send,
        Self::Wake,
        Self::InitialSync,
        Self::SlidingSync,
        Self::Messages,
        Self::Join,
        Self::Login,
        Self::IncrementalSync,
    ];
}

/// How much is measured.
struct Sizes {
    /// Members of the room that is sent into, beside Synapse.
    members: &'static [usize],
    /// And on Axle alone.
    members_alone: &'static [usize],
    /// Messages of a round, to Synapse.
    messages: usize,
    /// Clients that wait.
    waiting: usize,
    /// Rooms of an account.
    rooms: usize,
    /// Rooms of the account whose incremental sync is measured.
    growth: &'static [usize],
}

impl Sizes {
    fn of(args: &ClientArgs) -> Self {
        if args.quick {
            Self { members: &[2], members_alone: &[], messages: 50, waiting: 20, rooms: 20, growth: &[10, 100] }
        } else if args.full {
            Self {
                members: &[2, 100],
                members_alone: &[10_000],
                messages: 200,
                waiting: 1000,
                rooms: 1000,
                growth: &[10, 100, 1000, 5000],
            }
        } else {
            Self {
                members: &[2, 100],
                members_alone: &[],
                messages: 100,
                waiting: 100,
                rooms: 100,
                growth: &[10, 1000],
            }
        }
    }
}

pub(crate) fn run(args: ClientArgs) -> Outcome {
    // A provider that is installed already serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(measure(&args)).map_err(|error| -> Box<dyn std::error::Error> { error })?;
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

async fn measure(args: &ClientArgs) -> Result<Report> {
    let python = match (args.no_synapse, &args.synapse_python) {
        (true, _) => None,
        (false, Some(python)) => Some(python.clone()),
        (false, None) => {
            say("Synapse: installing, if it is not there yet");
            Some(synapse::install()?)
        }
    };
    let servers = start(python.as_deref(), Passwords::Cheap).await?;
    let comparisons = comparisons(args, &servers, python.as_deref()).await?;
    let incremental_sync = match args.only.contains(&Part::IncrementalSync) {
        true => growth(args).measure(&servers.axle).await?,
        false => Vec::new(),
    };
    let resident_mib = Resident {
        axle: servers.axle.resident_mib()?,
        synapse: servers.synapse.as_ref().map(Homeserver::resident_mib).transpose()?,
    };
    let synapse = servers.synapse.as_ref().map(|_| synapse::VERSION);
    Ok(Report { machine: Machine::this(), synapse, comparisons, incremental_sync, resident_mib })
}

async fn start(python: Option<&std::path::Path>, passwords: Passwords) -> Result<Servers> {
    let synapse = match python {
        Some(python) => Some(Homeserver::synapse(python, passwords).await?),
        None => None,
    };
    Ok(Servers { axle: Homeserver::axle().await?, synapse })
}

async fn comparisons(
    args: &ClientArgs,
    servers: &Servers,
    python: Option<&std::path::Path>,
) -> Result<Vec<Comparison>> {
    let (sizes, rounds) = (Sizes::of(args), args.rounds.max(1));
    let wanted = |part| args.only.contains(&part);
    let mut found = Vec::new();
    if wanted(Part::Send) {
        for &members in sizes.members {
            found.push(compare(&Send { members, messages: sizes.messages }, servers, rounds).await?);
        }
        for &members in sizes.members_alone {
            let alone = start(None, Passwords::Default).await?;
            found.push(compare(&Send { members, messages: sizes.messages }, &alone, rounds).await?);
        }
    }
    if wanted(Part::Wake) {
        let waiting = sizes.waiting;
        for (concerned, messages) in [(2, (20, 200)), (waiting, (3, 20))] {
            // Whoever waited for an earlier figure is gone.
            let fresh = start(python, Passwords::Cheap).await?;
            found.push(compare(&Wake { waiting, concerned, messages }, &fresh, rounds).await?);
        }
    }
    for (part, protocol) in [(Part::InitialSync, Protocol::V2), (Part::SlidingSync, Protocol::Sliding)] {
        if wanted(part) {
            let scenario = FirstSync { protocol, rooms: sizes.rooms, syncs: (3, 50) };
            found.push(compare(&scenario, servers, rounds).await?);
        }
    }
    if wanted(Part::Messages) {
        found.push(compare(&History { pages: sizes.messages }, servers, rounds).await?);
    }
    if wanted(Part::Join) {
        found.push(compare(&Join { joins: 10 }, servers, rounds).await?);
    }
    if wanted(Part::Login) {
        let fresh = start(python, Passwords::Default).await?;
        found.push(compare(&Login { logins: 10 }, &fresh, rounds).await?);
    }
    Ok(found)
}

fn growth(args: &ClientArgs) -> Growth {
    Growth { rooms: Sizes::of(args).growth, traffic: &[0, 100], syncs: 1000, rounds: args.rounds.max(1) }
}
