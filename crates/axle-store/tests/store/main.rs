//! What stores must do, and how they fail.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod file;
mod memory;
#[cfg(unix)]
mod power_loss;
mod snapshot;
mod sqlite;
mod suite;
