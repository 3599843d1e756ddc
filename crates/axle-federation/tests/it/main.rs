//! Tests over real sockets. Everything listens on loopback, on ports that the system chooses.

// Helpers of tests fail by panicking, as tests do.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod client;
mod keys;
mod resolve;
mod support;
mod tls;
