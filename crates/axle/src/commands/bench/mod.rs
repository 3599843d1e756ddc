//! `axle bench`: programs that measure.
//!
//! Servers, load generators and receiving peers are processes of their own, so that the CPU of a server is its own.
//! Figures are medians of several rounds, with the least and the most, beside a floor measured in the same run.

mod client;
mod floor;
mod hub;
mod machine;
mod mls;
mod network;
mod peers;
mod process;
mod report;
mod stats;

use clap::Subcommand;

use super::Outcome;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What a message costs a hub: CPU, by transaction size, destinations, history, rooms and members; memory.
    Hub(hub::HubArgs),
    /// What clients cost: messages, syncs, history, joins and logins, beside Synapse in the same run.
    Client(client::ClientArgs),
    /// What MLS costs: hub, members and joins by the size of the group; bytes; races; memory.
    Mls(mls::MlsArgs),
    /// The receiving and sending servers of a benchmark. Commands on standard input, JSON lines on standard output.
    #[command(hide = true)]
    Peers(peers::PeersArgs),
}

pub(crate) fn run(args: Args) -> Outcome {
    match args.what {
        What::Hub(args) => hub::run(args),
        What::Client(args) => client::run(args),
        What::Mls(args) => mls::run(args),
        What::Peers(args) => peers::run(args),
    }
}
