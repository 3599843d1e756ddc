//! Axle: a messaging-interoperability server and its tools in one binary.

mod commands;
mod start_code;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Half of what the system's allocator costs a hub, and no locks between its threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Linearized Matrix hub and participant, a Matrix client-server API, and a terminal client.
#[derive(Debug, Parser)]
#[command(name = "axle", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server.
    Serve(commands::serve::Args),
    /// Chat in a terminal, or by commands on standard input.
    Chat(commands::chat::Args),
    /// Show three servers that message each other, and prove that they agree.
    Demo(commands::demo::Args),
    /// Inspect and verify events.
    Event(commands::event::Args),
    /// Measure.
    Bench(commands::bench::Args),
    /// Administer a server.
    Admin(commands::admin::Args),
    /// Make a thumbnail of the picture on standard input: what a server starts for itself.
    #[command(hide = true)]
    Thumbnail(commands::thumbnail::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => commands::serve::run(args),
        Command::Chat(args) => commands::chat::run(args),
        Command::Demo(args) => commands::demo::run(args),
        Command::Event(args) => commands::event::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Admin(args) => commands::admin::run(args),
        Command::Thumbnail(args) => commands::thumbnail::run(args),
    };
    outcome.unwrap_or_else(|error| {
        commands::report(&*error);
        ExitCode::FAILURE
    })
}
