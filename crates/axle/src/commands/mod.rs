//! One module a subcommand.

pub(crate) mod admin;
pub(crate) mod bench;
pub(crate) mod chat;
mod clock;
pub(crate) mod demo;
pub(crate) mod event;
pub(crate) mod serve;
mod stage;
pub(crate) mod thumbnail;

use std::error::Error;
use std::process::ExitCode;

/// What a subcommand ends with.
pub(crate) type Outcome = Result<ExitCode, Box<dyn Error>>;

/// Tells a person what went wrong, with every cause.
#[allow(clippy::print_stderr)]
pub(crate) fn report(error: &dyn Error) {
    eprintln!("axle: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
}
