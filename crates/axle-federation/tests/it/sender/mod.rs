//! Outbound queues towards a server that answers as it is told, over TLS.

mod blocks;
mod edus;
mod lpdus;
mod order;
mod peer;
mod refusals;
mod restart;
mod world;
