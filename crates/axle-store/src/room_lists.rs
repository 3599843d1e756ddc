//! What lists of a user's rooms are made of.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};

use crate::{StoreError, StoredEvent, UserRoom};

/// A room of a user, with what lists of rooms are filtered by.
#[derive(Debug, Clone)]
pub struct DescribedUserRoom {
    /// The room, and what the user is to it.
    pub room: UserRoom,
    /// Whether the user made the member event, as opposed to somebody who kicked them, say.
    pub by_user: bool,
    /// Whether the user has left the room and forgotten it.
    pub forgotten: bool,
    /// `type` of `m.room.create`.
    pub room_type: Option<String>,
    /// Whether there is an `m.room.encryption`.
    pub encrypted: bool,
}

/// Which entries of a room's state are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatePattern {
    /// One.
    Entry {
        /// `type`.
        event_type: String,
        /// `state_key`.
        state_key: String,
    },
    /// All of a type.
    Type(String),
    /// All with a state key.
    Key(String),
    /// All but `m.room.member`.
    AllButMembers,
    /// All.
    All,
}

impl StatePattern {
    /// One entry.
    pub fn entry(event_type: impl Into<String>, state_key: impl Into<String>) -> Self {
        Self::Entry { event_type: event_type.into(), state_key: state_key.into() }
    }

    /// Whether an entry is wanted.
    pub fn matches(&self, event_type: &str, state_key: &str) -> bool {
        match self {
            Self::Entry { event_type: wanted, state_key: key } => wanted == event_type && key == state_key,
            Self::Type(wanted) => wanted == event_type,
            Self::Key(wanted) => wanted == state_key,
            Self::AllButMembers => event_type != "m.room.member",
            Self::All => true,
        }
    }
}

/// Lists of a user's rooms.
#[async_trait]
pub trait RoomLists {
    /// The rooms that a user has a member event in, and in which anything happened after this stream position. Costs what
    /// [`user_rooms_changed`](crate::RoomLog::user_rooms_changed) does, and a look at each of these rooms.
    async fn described_user_rooms(&self, user_id: &UserId, after: i64) -> Result<Vec<DescribedUserRoom>, StoreError>;

    /// The entries of a room's current state that any of these patterns wants, each once.
    async fn matching_state(
        &self,
        room_id: &RoomId,
        patterns: Vec<StatePattern>,
    ) -> Result<Vec<StoredEvent>, StoreError>;
}
