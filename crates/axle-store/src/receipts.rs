//! How far the users of a room have read.

use async_trait::async_trait;
use axle_protocol::{EventId, RoomId, UserId};

use crate::StoreError;

/// Who learns of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReceiptType {
    /// `m.read`: everyone in the room.
    Read,
    /// `m.read.private`: the user alone.
    ReadPrivate,
}

/// A user has read a room, or a thread of it, up to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whose.
    pub user_id: UserId,
    /// Who learns of it.
    pub receipt_type: ReceiptType,
    /// `main`, or the id of a thread's first event; `None`: it is for the room, whatever the thread.
    pub thread: Option<String>,
    /// The event.
    pub event_id: EventId,
    /// Its position in the room's order.
    pub position: i64,
    /// When it was read, in milliseconds since the Unix epoch.
    pub ts: i64,
    /// Place in this server's order of arrival; assigned when stored.
    pub stream: i64,
}

/// What a sync needs of the receipts of one room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomReceipts {
    /// All of the reader's own with `stream <= until`, however old they are.
    pub own: Vec<Receipt>,
    /// The newest public ones of everybody else with `after < stream <= until`, oldest first.
    pub others: Vec<Receipt>,
}

/// Receipts. A user has one of each type for each thread of a room.
#[async_trait]
pub trait Receipts {
    /// Stores a receipt in place of the one of the same user, type and thread, if that is for an earlier position, and
    /// returns its stream position. `None`: nothing is written, because that one is as far, or the room is not known.
    async fn put_receipt(&self, room_id: &RoomId, receipt: Receipt) -> Result<Option<i64>, StoreError>;

    /// The receipts of a room that a reader may learn of; of others' at most `limit`.
    async fn receipts(
        &self,
        room_id: &RoomId,
        reader: &UserId,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<RoomReceipts, StoreError>;

    /// Whether a room has receipts of anybody with `stream > after`. Costs nothing where that was not long ago.
    async fn has_receipts(&self, room_id: &RoomId, after: i64) -> Result<bool, StoreError>;

    /// The rooms that a user is in with receipts that they may learn of and `after < stream <= until`.
    async fn rooms_with_receipts(&self, user_id: &UserId, after: i64, until: i64) -> Result<Vec<RoomId>, StoreError>;
}
