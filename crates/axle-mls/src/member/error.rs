//! Why a client's operation failed. Nothing has changed then.

use super::store::StoreError;

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// This device is not in the room's group.
    #[error("this device is not in the room's group")]
    NoGroup,
    /// It is in it already.
    #[error("this device is in the room's group already")]
    AlreadyMember,
    /// A commit of this device waits for the hub's answer.
    #[error("a commit waits to be confirmed or discarded")]
    CommitPending,
    /// No commit of this device waits.
    #[error("no commit waits")]
    NoCommitPending,
    /// Not the encoding of what it should be.
    #[error("{0} is not what it should be")]
    Malformed(&'static str),
    /// The message is of an epoch that this device is not in, or whose keys it has forgotten.
    #[error("the message is of another epoch; the group is in epoch {current}")]
    WrongEpoch {
        /// The epoch that holds here.
        current: u64,
    },
    /// A commit that does not lead anywhere: to be reported to the hub.
    #[error("the commit cannot be applied: {0}")]
    CannotApply(String),
    /// A message that cannot be decrypted, or was decrypted before.
    #[error("the message cannot be decrypted: {0}")]
    CannotDecrypt(String),
    /// A message that this device has encrypted: it cannot decrypt it, and knows what it said if it has said it from this
    /// store.
    #[error("the message is of this device itself")]
    OwnMessage,
    /// A commit of this device that it does not know. Nobody can apply their own commit from what is in the log.
    #[error("the commit is of this device itself, and is not one that waits")]
    OwnCommit,
    /// A device that is to be removed or verified is not in the group.
    #[error("the device is not in the group")]
    NotAMember,
    /// RFC 9420 does not allow what was asked for.
    #[error("not possible: {0}")]
    Invalid(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// For errors of openmls that a caller can do nothing about.
pub(super) fn invalid(error: impl std::fmt::Display) -> MemberError {
    MemberError::Invalid(error.to_string())
}
