//! Many servers in one process on virtual time, with seeded faults.
//!
//! The very code of `axle-room` and `axle-protocol` that production runs is driven here: rooms, queues, transactions,
//! signatures. Around it stand models of what is not deterministic: a network that loses, repeats, delays and reorders;
//! disks that are slow, and keep after a crash only what was flushed; clients; a hub that lies. A seed decides
//! everything, so a failing run can be repeated.

pub mod check;
pub mod coverage;
pub mod defects;
pub mod directory;
pub mod disk;
pub mod lies;
pub mod node;
pub mod plan;
pub mod rng;
pub mod wire;
pub mod world;

pub use defects::Defect;
pub use lies::Lie;
pub use plan::{Plan, RoomPlan};
pub use world::{LieOutcome, Report, run};
