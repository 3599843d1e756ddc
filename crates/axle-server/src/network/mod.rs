//! Puts `axle-federation` behind what the rooms need of the network.

mod peers;

pub(crate) use peers::FederationPeers;
