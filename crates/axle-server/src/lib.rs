//! Wires protocol, rooms, store and both APIs into a server.

pub mod rooms;
