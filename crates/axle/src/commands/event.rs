//! `axle event`: looks at events, one JSON object a line on standard input.

mod lines;
mod show;
mod verify;

use super::Outcome;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check ids, hashes and signatures of events from standard input, one JSON object a line. Each line is answered with
    /// a line of JSON. Exit status 1 if any event is not valid.
    Verify(verify::Args),
    /// Show the exact bytes that each hash and signature covers, of events from standard input, one JSON object a line.
    Show,
}

pub(crate) fn run(args: Args) -> Outcome {
    match args.command {
        Command::Verify(args) => verify::run(&args),
        Command::Show => show::run(),
    }
}
