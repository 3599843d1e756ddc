//! What can go wrong in a store.

/// A failure of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The room's head is not where the writer thought: another writer was there, or memory is stale. Nothing was
    /// written.
    #[error("the head of {room_id} is {actual:?}, not {expected:?}")]
    HeadMoved {
        /// The room.
        room_id: String,
        /// What the writer expected.
        expected: Option<i64>,
        /// What is stored.
        actual: Option<i64>,
    },
    /// An LPDU of the append is in the room already, and the writer has not asked. Nothing was written.
    #[error("an LPDU is in {room_id} already, as {event_id}")]
    LpduKnown {
        /// The room.
        room_id: String,
        /// What the LPDU has become.
        event_id: String,
    },
    /// A name that must be new is taken (user, device, token).
    #[error("{0} exists already")]
    Exists(String),
    /// The change contradicts what is stored: a fault of the caller. Nothing was written.
    #[error("{0}")]
    Invalid(String),
    /// The database was made by another version of Axle.
    #[error("{0}")]
    Schema(String),
    /// The disk or the database failed. What was being written is not acknowledged.
    #[error("storage failed: {0}")]
    Io(String),
}
