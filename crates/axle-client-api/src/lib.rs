//! The Matrix client-server API: accounts, rooms, messages and sync, on Matrix's own paths and types.
//!
//! Accounts and reading go straight to the store; whatever changes a room goes through [`RoomService`].

mod service;

pub use service::{CreateRoom, Knocked, Notifier, RoomService, SendEvent};
