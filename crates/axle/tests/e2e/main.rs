//! Whole servers, as processes, over real sockets and TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod conversation;
mod crash;
mod garbage;
mod kill;
mod moderation;
mod operations;
mod support;
