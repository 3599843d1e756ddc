//! The client-server API over real sockets.

#![allow(clippy::unwrap_used)]

mod accounts;
mod common;
mod every_endpoint;
mod faults;
mod messages;
mod rooms;
mod sync;
mod visibility;
