//! Three servers as real processes, and people on them: what the demo and some benchmarks play on.

mod authority;
mod network;
mod people;
mod server;

use std::error::Error;

pub(in crate::commands) use network::{NAMES, Network};
pub(in crate::commands) use people::{Cast, Person, let_in, refused};

/// Runs what is played on it.
pub(in crate::commands) fn play<T>(story: impl Future<Output = Result<T, Failure>>) -> Result<T, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(story);
    runtime.shutdown_background();
    outcome.map_err(|error| -> Box<dyn Error> { error })
}

/// Anything that stops it.
pub(in crate::commands) type Failure = Box<dyn Error + Send + Sync>;
