//! Puts `axle-federation` behind what the rooms need of the network.

mod offline;
mod peers;

pub(crate) use offline::Offline;
pub(crate) use peers::FederationPeers;
