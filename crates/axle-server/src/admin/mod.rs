//! Administration: the same commands on a running server, over a socket, and on the data folder of a stopped one.

mod commands;
mod socket;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use axle_protocol::{RoomId, ServerName, UserId};
use axle_store::sqlite::{Options, SqliteStore};
use axle_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

pub use commands::{AccountSummary, BlockList, DestinationList, KeySummary, TokenSummary};
pub use socket::{MAX_LINE_BYTES, SocketError, ask, listen};
pub use verify::{Problem, VerifyReport};

use crate::folder::DataFolder;

/// What an operator asks for: one JSON object a line on the socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Makes an account.
    CreateUser {
        /// The part of the user id before the colon.
        localpart: String,
        /// `None`: nobody can log in to it yet.
        password: Option<String>,
        /// Whether the user may administer the server.
        admin: bool,
    },
    /// Sets a password and logs all devices out.
    ResetPassword {
        /// Whose.
        user_id: UserId,
        /// The new one.
        password: String,
    },
    /// All accounts.
    ListUsers,
    /// All rooms.
    ListRooms,
    /// Copies the database.
    Backup {
        /// To this file, which must not be there yet.
        file: PathBuf,
    },
    /// Checks the database, and of every room the events, the auth rules, and what is stored beside the events.
    Verify {
        /// Only this room.
        room_id: Option<RoomId>,
    },
    /// Makes a new signing key. Only while the server is stopped.
    RotateKey,
    /// The signing keys.
    ListKeys,
    /// Blocks or unblocks a server.
    BlockServer {
        /// Which.
        server: ServerName,
        /// Or unblocks it.
        blocked: bool,
    },
    /// Blocks or unblocks a room.
    BlockRoom {
        /// Which.
        room_id: RoomId,
        /// Or unblocks it.
        blocked: bool,
    },
    /// What is blocked.
    ListBlocks,
    /// How the queues towards other servers do, and which events were set aside.
    ListDestinations,
    /// What the hubs of rooms did that they should not have.
    ListFaults,
    /// What users reported.
    ListReports,
    /// Makes a registration token.
    CreateToken {
        /// `None`: a random one.
        token: Option<String>,
        /// `None`: any number.
        uses: Option<u32>,
    },
    /// All registration tokens.
    ListTokens,
}

/// Why a command failed, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AdminError(pub String);

/// What the commands work on.
#[derive(Clone)]
pub struct Admin {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The server.
    pub server_name: ServerName,
    /// The file with its signing keys.
    pub signing_keys: PathBuf,
    /// Whether the server runs.
    pub running: bool,
}

impl Admin {
    /// For a server that is stopped: opens its database.
    pub fn on_folder(folder: &DataFolder) -> Result<Self, StoreError> {
        let store = Arc::new(SqliteStore::open(folder.database(), Options::default())?);
        let server_name = folder.server_name().clone();
        Ok(Self { store, server_name, signing_keys: folder.signing_keys(), running: false })
    }

    /// Does what is asked. The answer is JSON, in a form of its own for each command.
    pub async fn execute(&self, request: Request) -> Result<serde_json::Value, AdminError> {
        commands::execute(self, request).await
    }
}

fn failed(error: impl std::fmt::Display) -> AdminError {
    AdminError(error.to_string())
}
