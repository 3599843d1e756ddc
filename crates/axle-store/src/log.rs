//! The room log and the state of rooms.

use std::sync::Arc;

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::event::Hash;
use axle_protocol::{EventId, RoomId, RoomVersion, ServerName, UserId};

use crate::{Announcement, ClientTxn, GroupEpoch, Relation, StoreError};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// Part of the room.
    Accepted,
    /// In the room's order, but hidden from clients.
    SoftFailed,
    /// Refused; kept so that it is not fetched again.
    Rejected,
    /// Known, but without a place in the room's order: state from before our join, auth events.
    Outlier,
    /// Arrived before its parents; gets a place in the room's order when the gap is filled.
    Waiting,
}

/// An event about to be stored.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its id.
    pub event_id: EventId,
    /// Place in the room's order; `None` for rejected and waiting events and outliers.
    pub position: Option<i64>,
    /// What became of it.
    pub status: EventStatus,
    /// `type`.
    pub event_type: String,
    /// `state_key`.
    pub state_key: Option<String>,
    /// `sender`.
    pub sender: UserId,
    /// `origin_server_ts`.
    pub origin_server_ts: i64,
    /// `hashes.lpdu.sha256`, where there is one.
    pub lpdu_hash: Option<Hash>,
    /// Of an `m.room.member` event.
    pub membership: Option<Membership>,
    /// An event that this one redacts, where that is authorised.
    pub redacts: Option<EventId>,
    /// How it relates to another event, if it does.
    pub relates_to: Option<Relation>,
    /// Whether it becomes current state. Set for state that a join brought, too, though it has no position.
    pub sets_state: bool,
    /// The exact bytes.
    pub json: Arc<str>,
}

/// An entry of the state before the event at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateBefore {
    /// Of the event.
    pub position: i64,
    /// `type` of the entry.
    pub event_type: String,
    /// `state_key` of the entry.
    pub state_key: String,
}

/// A change of who gets a room's events from us, its hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryChange {
    /// The server gets the events after the one at this position.
    Start {
        /// Who.
        destination: ServerName,
        /// The last position that it does not get (its join is answered by `send_join`); not before the head that the
        /// append expects.
        after: i64,
    },
    /// The server gets the event at this position and none after.
    Stop {
        /// Who.
        destination: ServerName,
        /// The last position that it gets.
        at: i64,
    },
}

/// One atomic change of one room: all of it is stored, or nothing.
#[derive(Debug, Clone)]
pub struct Append {
    /// The room.
    pub room_id: RoomId,
    /// Its version; stored with the first append.
    pub room_version: RoomVersion,
    /// Position of the room's head as the writer knows it; `None` while the room has no event with a position.
    /// Another head refuses the append.
    pub expected_head: Option<i64>,
    /// In order.
    pub events: Vec<NewEvent>,
    /// In order.
    pub deliveries: Vec<DeliveryChange>,
    /// Our own LPDUs whose echo, or refusal, this append settles.
    pub settled_lpdus: Vec<Hash>,
    /// Client transactions that are answered by events of this append.
    pub client_txns: Vec<ClientTxn>,
    /// The writer has not asked for [`RoomLog::known_lpdus`]: an LPDU that is in the room already refuses the append.
    pub lpdus_unasked: bool,
    /// All events were made for this append by this server, as the room's hub, on top of the expected head: none of
    /// them can be stored, and none is looked for.
    ///
    /// An id is the hash of the event with its `prev_events`, which name the head, and one another in order. So an event
    /// of the same id would come after the head as well: a second writer's, who has moved the head; or one without a
    /// position, and a hub keeps nothing in its rooms that it was sent. That LPDUs are new is another matter: the same
    /// LPDU becomes another event on another head.
    pub made_here: bool,
    /// Invites of this append whose target's server is still to be told of them.
    pub announcements: Vec<Announcement>,
    /// States of the room's group, by epoch.
    pub groups: Vec<GroupEpoch>,
}

/// What an append got: the stream position of each event, in the order of [`Append::events`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Events that were stored already (same id) keep the stream position they had, unless they are moved.
    pub streams: Vec<i64>,
}

/// A stored event.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Its id.
    pub event_id: EventId,
    /// The room.
    pub room_id: RoomId,
    /// The room's version.
    pub room_version: RoomVersion,
    /// Place in this server's order of arrival.
    pub stream: i64,
    /// Place in the room's order.
    pub position: Option<i64>,
    /// What became of it.
    pub status: EventStatus,
    /// The exact bytes. Redacted events are stored whole: who serves them redacts them.
    pub json: Arc<str>,
    /// The redaction that applies to it.
    pub redacted_by: Option<EventId>,
}

/// The end of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomHead {
    /// Position of the last event.
    pub position: i64,
    /// Its id.
    pub event_id: EventId,
    /// Its stream position.
    pub stream: i64,
}

/// One entry of a room's current state.
#[derive(Debug, Clone)]
pub struct StateEntry {
    /// `type`.
    pub event_type: String,
    /// `state_key`.
    pub state_key: String,
    /// The event.
    pub event_id: EventId,
    /// Of an `m.room.member` event.
    pub membership: Option<Membership>,
    /// The event, except for `m.room.member`: rooms with many members load without reading each one.
    pub json: Option<Arc<str>>,
}

/// What a room needs to go on where it stopped.
#[derive(Debug, Clone)]
pub struct RoomSnapshot {
    /// The room.
    pub room_id: RoomId,
    /// Its version.
    pub room_version: RoomVersion,
    /// The end of its log.
    pub head: Option<RoomHead>,
    /// Its current state.
    pub state: Vec<StateEntry>,
    /// Events with the status [`EventStatus::Waiting`], in order of arrival.
    pub waiting: Vec<StoredEvent>,
    /// The state of its group in the newest epoch.
    pub group: Option<Vec<u8>>,
}

/// Which way to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Newest first.
    Backward,
    /// Oldest first.
    Forward,
}

/// A local user's place in a room this server is in, from the room's current state.
#[derive(Debug, Clone)]
pub struct UserRoom {
    /// The room.
    pub room_id: RoomId,
    /// The user's membership.
    pub membership: Membership,
    /// The member event.
    pub event_id: EventId,
    /// Its stream position.
    pub stream: i64,
    /// Its position in the room's order.
    pub position: Option<i64>,
    /// Stream position of the room's newest event.
    pub room_stream: i64,
}

/// What a sync needs of one room since a stream position.
#[derive(Debug, Clone)]
pub struct SyncRoom {
    /// The newest accepted events, at most as many as asked for, oldest first.
    pub timeline: Vec<StoredEvent>,
    /// Whether there are more between `since` and the first of them.
    pub limited: bool,
}

/// An invite or a knock of a local user in a room that this server is not in; or the end of one.
#[derive(Debug, Clone)]
pub struct OutOfRoom {
    /// Whose.
    pub user_id: UserId,
    /// Where.
    pub room_id: RoomId,
    /// The room's version, as told.
    pub room_version: RoomVersion,
    /// Invite, knock, leave or ban.
    pub membership: Membership,
    /// The event, exact.
    pub event_id: EventId,
    /// The event, exact.
    pub json: Arc<str>,
    /// A JSON array of stripped state, as told.
    pub stripped_state: Arc<str>,
    /// Servers that can be asked about the room, the likeliest first.
    pub via: Vec<ServerName>,
    /// Place in this server's order of arrival; assigned when stored.
    pub stream: i64,
}

/// The log of every room, its state, and what local users see of it.
#[async_trait]
pub trait RoomLog {
    /// The one write primitive: stores an atomic change of one room if its head is where the writer expects it.
    /// Returns when it is durable.
    ///
    /// An event of a given id is stored once. One that is stored without a position takes the status given now, and
    /// the position, if there is one; beyond the room's head that gives it a new stream position, so that syncs see it.
    /// One that has a position stays as it is.
    async fn append(&self, append: Append) -> Result<Appended, StoreError>;

    /// A room, to be loaded into memory. `None`: not known here.
    async fn load_room(&self, room_id: &RoomId) -> Result<Option<RoomSnapshot>, StoreError>;

    /// The rooms that have events waiting for a gap to be filled.
    async fn rooms_with_waiting(&self) -> Result<Vec<RoomId>, StoreError>;

    /// One event, whatever its status.
    async fn event(&self, event_id: &EventId) -> Result<Option<StoredEvent>, StoreError>;

    /// Several events; the missing are left out, the order is not kept.
    async fn events(&self, event_ids: &[EventId]) -> Result<Vec<StoredEvent>, StoreError>;

    /// Which of these LPDUs are in the room already, and as which event.
    async fn known_lpdus(&self, room_id: &RoomId, hashes: &[Hash]) -> Result<Vec<(Hash, EventId)>, StoreError>;

    /// Events of a room in its order, those with a position only, beginning at (and including) `from`; `None` begins
    /// at the end (backward) or the beginning (forward). Rejected events are left out.
    async fn timeline(
        &self,
        room_id: &RoomId,
        from: Option<i64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// Events of a room that have no position, whatever their status, with `stream > after`, in order of arrival.
    async fn unplaced(&self, room_id: &RoomId, after: i64, limit: usize) -> Result<Vec<StoredEvent>, StoreError>;

    /// The state of a room before the event at this position.
    async fn state_before(&self, room_id: &RoomId, position: i64) -> Result<Vec<StoredEvent>, StoreError>;

    /// The current state of a room.
    async fn current_state(&self, room_id: &RoomId) -> Result<Vec<StoredEvent>, StoreError>;

    /// One entry of the current state.
    async fn state_event(
        &self,
        room_id: &RoomId,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StoredEvent>, StoreError>;

    /// One entry of the state before the event at this position.
    async fn state_event_before(
        &self,
        room_id: &RoomId,
        position: i64,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StoredEvent>, StoreError>;

    /// As many entries at once, in this order. Nothing if the room is not known.
    async fn state_events_before(
        &self,
        room_id: &RoomId,
        wanted: Vec<StateBefore>,
    ) -> Result<Vec<Option<StoredEvent>>, StoreError>;

    /// State changes with `after < stream <= until`, the last of each key.
    async fn state_changes(&self, room_id: &RoomId, after: i64, until: i64) -> Result<Vec<StoredEvent>, StoreError>;

    /// Whether there were any with `stream > after`. Costs nothing where that was not long ago.
    async fn has_state_changes(&self, room_id: &RoomId, after: i64) -> Result<bool, StoreError>;

    /// The newest accepted events with a position and `after < stream <= until`. History that was fetched later
    /// (positions below zero) is no news and is left out.
    async fn sync_room(&self, room_id: &RoomId, after: i64, until: i64, limit: usize) -> Result<SyncRoom, StoreError>;

    /// The last stream position assigned.
    async fn max_stream(&self) -> Result<i64, StoreError>;

    /// The rooms that a user has a member event in.
    async fn user_rooms(&self, user_id: &UserId) -> Result<Vec<UserRoom>, StoreError>;

    /// Of those, the ones in which anything happened after this stream position.
    async fn user_rooms_changed(&self, user_id: &UserId, after: i64) -> Result<Vec<UserRoom>, StoreError>;

    /// Of these rooms, the ones that a user is in.
    async fn joined_among(&self, user_id: &UserId, rooms: Vec<RoomId>) -> Result<Vec<RoomId>, StoreError>;

    /// The users with a membership in a room.
    async fn members(&self, room_id: &RoomId, membership: Membership) -> Result<Vec<UserId>, StoreError>;

    /// How many users are in a room; `limit` if there are more.
    async fn joined_count(&self, room_id: &RoomId, limit: usize) -> Result<usize, StoreError>;

    /// Remembers an invite or a knock from outside the room; replaces what was there for this user and room. Assigns
    /// the stream position.
    async fn put_out_of_room(&self, entry: OutOfRoom) -> Result<i64, StoreError>;

    /// What a user has outside of rooms that this server is in.
    async fn out_of_room(&self, user_id: &UserId) -> Result<Vec<OutOfRoom>, StoreError>;

    /// One of them.
    async fn out_of_room_in(&self, user_id: &UserId, room_id: &RoomId) -> Result<Option<OutOfRoom>, StoreError>;

    /// Forgets one, because the user is in the room now.
    async fn remove_out_of_room(&self, user_id: &UserId, room_id: &RoomId) -> Result<(), StoreError>;
}
