//! What can go wrong.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::{AttachmentError, EncryptionError};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered with an error.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The server could not be reached, or the connection broke.
    #[error("no answer from {server}")]
    Transport {
        /// The server's address.
        server: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// The server answered, but not as a Matrix homeserver does.
    #[error("{server} does not answer as a Matrix homeserver does: {reason}")]
    BadAnswer {
        /// The server's address.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server's address is not usable.
    #[error("{address:?} is not the address of a server: {reason}")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The extra CA certificate is not usable.
    #[error("the CA certificate is not usable")]
    Certificate(#[source] reqwest::Error),
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be set up")]
    Setup(#[source] reqwest::Error),
    /// The call needs a session, and there is none.
    #[error("not logged in")]
    NotLoggedIn,
    /// The server asks for a step in registration that this client cannot take.
    #[error("the server asks for {0:?} to register, which this client cannot do")]
    RegistrationStep(Vec<String>),
    /// Encryption failed on this side, or the hub did not take what was encrypted.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// A file cannot be sent, or is not what was sent.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
    /// A session file could not be read or written.
    #[error("session file {}", path.display())]
    SessionFile {
        /// Which.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
}

/// The error object of a Matrix answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} ({errcode})")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// For example `M_FORBIDDEN`; `M_UNKNOWN` if the server gave none.
    pub errcode: String,
    /// For people.
    pub message: String,
    /// How long the server wants us to wait.
    pub retry_after: Option<Duration>,
    /// The whole answer; registration reads its flows from here.
    pub body: Map<String, Value>,
}

impl Error {
    /// The answer of the server, if it is one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }

    /// `errcode` of the answer, if it is one.
    pub fn errcode(&self) -> Option<&str> {
        self.api().map(|error| error.errcode.as_str())
    }

    /// Whether the session is no longer valid: trying again is of no use.
    pub fn is_logged_out(&self) -> bool {
        matches!(self, Self::NotLoggedIn)
            || self.errcode().is_some_and(|code| matches!(code, "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN"))
    }

    /// Whether the same request may succeed later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api(error) => error.status == 429 || error.status >= 500,
            Self::Transport { .. } => true,
            // A proxy in front of a server that restarts answers with HTML.
            Self::BadAnswer { .. } => true,
            _ => false,
        }
    }
}
