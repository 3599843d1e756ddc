//! `axle demo`: three servers that message each other, and the proof that they agree.

mod outage;
mod proof;
mod screen;
mod story;
mod vault;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::Outcome;
use super::stage::{Failure, Network, play};
use screen::Screen;

/// Lines of each server's log that are shown after a failure.
const TAIL_LINES: usize = 15;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave the servers running at the end, and say how to chat on them.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    play(show(args))
}

/// Whatever ends this function, a panic too, ends the servers: the network owns them.
async fn show(args: Args) -> Result<ExitCode, Failure> {
    let mut screen = Screen::new();
    screen.title("axle demo: three servers that message each other");
    let mut network = Network::new()?;
    let outcome = tokio::select! {
        outcome = story::tell(&mut network, &mut screen) => outcome,
        outcome = interrupted() => outcome,
    };
    match outcome {
        Ok(cast) if args.keep => {
            screen.hint(&network.keep(&cast)?);
            Ok(ExitCode::SUCCESS)
        }
        Ok(_) => {
            network.remove()?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            screen.failure(&*error);
            screen.logs(&network.tails(TAIL_LINES), &network.preserve());
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn interrupted<T>() -> Result<T, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => outcome?,
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Err("interrupted".into())
}
