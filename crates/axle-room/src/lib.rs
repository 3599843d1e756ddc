//! Rooms and delivery as state machines: inputs in, effects out. No I/O, no clock, no randomness.
//!
//! - [`Room`]: one linearized room. The same type serves hub and participant; which one this server is follows from
//!   the room's state. Commands change the room in memory and return a [`Change`]. **Nothing that a change implies
//!   may be told to anyone before the change is durable.** A change that could not be stored makes the `Room` in
//!   memory useless: restore it from the store.
//! - [`outbound::Destination`]: the queue towards one server.
//! - [`inbound::Transactions`]: the memory of other servers' transactions.
//! - [`visibility`]: who may see which event.

pub mod inbound;
pub mod outbound;
pub mod room;
pub mod visibility;

pub use room::behind::Behind;
pub use room::change::{Accepted, Change, Delivery, Fault, FaultKind, Placed, Refusal, Settled, Status};
pub use room::gap::{Filled, Received};
pub use room::group::{Devices, GroupChange, Paired, PairedWith, Reported};
pub use room::invite::{InviteSource, Prepared, PreparedInvite};
pub use room::join::JoinAnswer;
pub use room::judge::judge;
pub use room::known::{Brief, Known, Lookup};
pub use room::participant::is_own_leave;
pub use room::policy::{AccessPolicy, AuthRules};
pub use room::replay::Replayed;
pub use room::state::RoomState;
pub use room::verified::{Verified, VerifyError};
pub use room::{Head, Identity, Room, Route, Snapshot, StateItem, begins_stay};
