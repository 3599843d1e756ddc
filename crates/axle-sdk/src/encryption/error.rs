//! Why encryption failed.

use std::path::PathBuf;

use axle_mls::member::{MemberError, StoreError};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// Another process uses this device's keys.
    #[error("another program uses this session: its keys in {} can be used by one at a time", .0.display())]
    InUse(PathBuf),
    /// The file of keys could not be opened.
    #[error("the keys in {}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The store is another device's.
    #[error("the stored keys are not this session's; log out and in again")]
    OtherDevice,
    /// The session has no secret that the store could be sealed with, or an unusable one.
    #[error("the session has no usable secret for its keys")]
    NoSecret,
    /// The device id has characters that MLS credentials do not allow.
    #[error("a device named {0:?} cannot be in encrypted rooms")]
    DeviceId(String),
    /// The store failed.
    #[error("the stored keys: {0}")]
    Store(#[from] StoreError),
    /// MLS does not allow it, or what came is not MLS.
    #[error("{0}")]
    Group(MemberError),
    /// The room is encrypted in a way that this version does not know.
    #[error("{0}")]
    UnknownEncryption(String),
    /// The server says of a room that was encrypted that it is not. Nothing is sent to it.
    #[error("the server says that this room is not encrypted, but it was; nothing is sent")]
    Downgraded,
    /// A commit says that this room is another one for others; nothing is sent until the user says so.
    #[error("not everybody is shown the same room, so nothing is sent: {0}")]
    Misled(String),
    /// The store is an older copy, or may be one, and new keys could not be taken yet: nothing is sent with old ones.
    #[error(
        "this device's keys may be older than what it has sent, and new ones could not be taken yet; nothing is sent"
    )]
    PutBack,
    /// Nobody has encrypted for this device yet, or the room has no group yet.
    #[error("this device is not in the room's encrypted group yet")]
    NotInGroup,
    /// The hub has refused again and again.
    #[error("the hub does not take it: {0}")]
    Refused(String),
    /// A server's answer is not what it should be.
    #[error("the server's answer is not what it should be: {0}")]
    Answer(&'static str),
    /// There is no such device.
    #[error("no such device is known")]
    NoSuchDevice,
}

impl From<MemberError> for EncryptionError {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::Store(error) => Self::Store(error),
            MemberError::NoGroup => Self::NotInGroup,
            error => Self::Group(error),
        }
    }
}
