//! Tests over real sockets. Everything listens on loopback, on ports that the system chooses.

// Helpers of tests fail by panicking, as tests do.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod client;
mod endpoints;
mod http2;
mod keys;
mod resolve;
mod sender;
mod support;
mod tls;
mod web;
