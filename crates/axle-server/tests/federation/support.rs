//! Shared with the tests of `axle-federation`.

#[path = "../../../axle-federation/tests/it/support/ask.rs"]
mod ask;
#[path = "../../../axle-federation/tests/it/support/ca.rs"]
mod ca;
#[path = "../../../axle-federation/tests/it/support/https.rs"]
mod https;
#[path = "../../../axle-federation/tests/it/support/listen.rs"]
mod listen;

pub use ask::{Answer, Ask, connect};
pub use ca::Ca;
pub use https::Server as Https;
