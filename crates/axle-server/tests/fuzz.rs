//! Fuzz targets of what other servers send to rooms. Each runs for a second under `cargo test`; how to run them for
//! longer, and what to do with a finding, is in CONTRIBUTING.md.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../axle-protocol/tests/common/edits.rs"]
mod edits;
#[path = "fuzz/hostile_hub.rs"]
mod hostile_hub;
#[path = "fuzz/hostile_sender.rs"]
mod hostile_sender;
#[path = "fuzz/rooms.rs"]
mod rooms;

use std::panic::AssertUnwindSafe;

/// The body of a transaction of a server in the room, by the real endpoint with authentication.
#[test]
fn send_body() {
    let target = AssertUnwindSafe(hostile_sender::World::new());
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| target.run(input));
    target.check();
}

/// What a hub answers to a join, and what it sends and answers afterwards.
#[test]
fn answers_of_a_hub() {
    let target = AssertUnwindSafe(hostile_hub::World::new());
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| target.run(input));
}
