//! Many servers in one process on virtual time, with seeded faults.
//!
//! The very code of `axle-room` and `axle-protocol` that production runs is driven here: rooms, queues, transactions,
//! signatures. Around it stand models of what is not deterministic: a network that loses, repeats, delays and reorders;
//! disks that are slow, and keep after a crash only what was flushed; clients; a hub that lies. A seed decides
//! everything, so a failing run can be repeated.

pub mod check;
pub mod directory;
pub mod disk;
pub mod node;
pub mod plan;
pub mod rng;
pub mod wire;
pub mod world;

pub use plan::{Lie, Plan, RoomPlan, Sabotage};
pub use world::{Report, run};
