//! What clients keep for their user: settings, tags, push rules.

use std::sync::Arc;

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};

use crate::StoreError;

/// How many entries of account data a user has at most, those of all rooms together.
pub const MAX_ACCOUNT_DATA_PER_USER: usize = 20_000;

/// An entry of account data. There is one of each type, globally and in each room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountData {
    /// The room that it is about; `None`: it is global.
    pub room_id: Option<RoomId>,
    /// `type`.
    pub event_type: String,
    /// `content`, a JSON object.
    pub content: Arc<str>,
    /// Place in this server's order of arrival; assigned when stored.
    pub stream: i64,
}

/// What has to be there for an entry to be stored in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whatever there is.
    Anything,
    /// Nothing.
    Nothing,
    /// The entry with this stream position.
    Stream(i64),
}

/// What became of an entry that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutAccountData {
    /// It is stored, with this stream position.
    Stored(i64),
    /// Something else than what was expected is there; nothing was written.
    Unexpected,
    /// It is new, and the user has [`MAX_ACCOUNT_DATA_PER_USER`] already; nothing was written.
    Full,
}

/// The account data of local users.
#[async_trait]
pub trait UserData {
    /// Stores an entry in place of what is there. Assigns the stream position.
    async fn put_account_data(
        &self,
        user_id: &UserId,
        entry: AccountData,
        expected: Expected,
    ) -> Result<PutAccountData, StoreError>;

    /// One entry.
    async fn account_data(
        &self,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        event_type: &str,
    ) -> Result<Option<AccountData>, StoreError>;

    /// The entries of one room with `stream <= until`, oldest first.
    async fn room_account_data(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        until: i64,
    ) -> Result<Vec<AccountData>, StoreError>;

    /// The entries, global ones and those of every room, with `after < stream <= until`, oldest first. Costs what it
    /// returns, whatever else there is.
    async fn account_data_changes(
        &self,
        user_id: &UserId,
        after: i64,
        until: i64,
    ) -> Result<Vec<AccountData>, StoreError>;

    /// Whether there are any with `stream > after`. Costs nothing where nothing of the user's changed lately.
    async fn has_account_data_changes(&self, user_id: &UserId, after: i64) -> Result<bool, StoreError>;
}
