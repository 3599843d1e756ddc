//! Three servers as real processes, and people on them: what the demo and some benchmarks play on.

mod authority;
mod network;
mod people;
mod server;

pub(in crate::commands) use network::{NAMES, Network};
pub(in crate::commands) use people::{Cast, Person, let_in, refused};

/// Anything that stops it.
pub(in crate::commands) type Failure = Box<dyn std::error::Error + Send + Sync>;
