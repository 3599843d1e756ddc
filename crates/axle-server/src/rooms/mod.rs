//! The runtime of rooms: drives the state machines of `axle-room` against the store and other servers.

pub mod network;
mod notifier;

pub use network::{Keys, Outbound, PeerError, Peers, SentJoin};
pub use notifier::Wakes;
