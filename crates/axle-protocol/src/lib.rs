//! Linearized Matrix formats and rules, without I/O.
//!
//! Section numbers in these docs refer to draft-ralston-mimi-linearized-matrix-04, by section title.
//! Nothing in this crate opens a socket, reads a clock or draws randomness: time and keys are arguments.

pub mod auth;
pub mod base64;
pub mod canonical_json;
pub mod error;
pub mod event;
pub mod id;
pub mod keys;
pub mod limits;
pub mod room_version;
pub mod server_acl;
pub mod signing;

pub use error::MatrixError;
pub use event::{Event, EventKind};
pub use id::{EventId, KeyId, RoomId, ServerName, UserId};
pub use keys::{SigningKey, VerifyKey};
pub use room_version::RoomVersion;
pub use server_acl::ServerAcl;
