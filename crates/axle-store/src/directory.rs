//! The room directory: other names of rooms, which rooms are listed, and what describes a room.

use async_trait::async_trait;
use axle_protocol::{RoomId, RoomVersion, UserId};

use crate::{StoreError, StoredEvent};

/// How many aliases of this server a room has at most.
pub const MAX_ALIASES_PER_ROOM: usize = 100;

/// What an alias of this server stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomAlias {
    /// The room.
    pub room_id: RoomId,
    /// Who made the alias.
    pub creator: UserId,
}

/// What became of an alias that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutAlias {
    /// It is stored.
    Stored,
    /// There is one of this name; nothing was written.
    Taken,
    /// The room has [`MAX_ALIASES_PER_ROOM`] already; nothing was written.
    Full,
}

/// A room in the list of rooms, and its place there: the biggest come first, of equals the one with the greater id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRoom {
    /// The room.
    pub room_id: RoomId,
    /// Users in it.
    pub joined_members: u64,
}

/// Which part of the list of rooms to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListPart {
    /// From the beginning.
    Start,
    /// What follows this place.
    After(ListedRoom),
    /// What comes before this place, the nearest first.
    Before(ListedRoom),
}

/// What a room says of itself.
#[derive(Debug, Clone)]
pub struct RoomDescription {
    /// The room.
    pub room_id: RoomId,
    /// Its version.
    pub room_version: RoomVersion,
    /// Users in it.
    pub joined_members: u64,
    /// Entries of its current state, those asked for.
    pub state: Vec<StoredEvent>,
}

/// Aliases and the list of rooms of this server.
#[async_trait]
pub trait RoomDirectory {
    /// Stores an alias, if there is none of this name. The room need not be known yet.
    async fn put_alias(&self, alias: &str, room_id: &RoomId, creator: &UserId) -> Result<PutAlias, StoreError>;

    /// Looks an alias up.
    async fn alias(&self, alias: &str) -> Result<Option<RoomAlias>, StoreError>;

    /// Removes an alias; whether there was one.
    async fn remove_alias(&self, alias: &str) -> Result<bool, StoreError>;

    /// The aliases of a room, in alphabetical order.
    async fn room_aliases(&self, room_id: &RoomId) -> Result<Vec<String>, StoreError>;

    /// Puts a room on the list, or takes it off. A room that is not known is not listed.
    async fn set_listed(&self, room_id: &RoomId, listed: bool) -> Result<(), StoreError>;

    /// Whether a room is on the list.
    async fn is_listed(&self, room_id: &RoomId) -> Result<bool, StoreError>;

    /// Part of the list. Costs what it returns.
    async fn listed_rooms(&self, part: ListPart, limit: usize) -> Result<Vec<ListedRoom>, StoreError>;

    /// How many rooms are on the list.
    async fn count_listed_rooms(&self) -> Result<u64, StoreError>;

    /// Gives a room's successor its aliases and its place on the list.
    async fn move_directory_entries(&self, from: &RoomId, to: &RoomId) -> Result<(), StoreError>;

    /// Describes rooms by the entries of their state that have these types and an empty state key. Rooms that are not
    /// known are left out; the order is kept.
    async fn describe_rooms(
        &self,
        room_ids: &[RoomId],
        types: &'static [&'static str],
    ) -> Result<Vec<RoomDescription>, StoreError>;

    /// How many entries a room's current state has; 0 of a room that is not known.
    async fn count_state(&self, room_id: &RoomId) -> Result<u64, StoreError>;

    /// The entries of a room's current state that have this type.
    async fn state_of_type(&self, room_id: &RoomId, event_type: &str) -> Result<Vec<StoredEvent>, StoreError>;
}
