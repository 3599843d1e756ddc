//! What hubs did that they should not have, as operators and the rooms' users are told of it.

use async_trait::async_trait;
use axle_protocol::{EventId, RoomId, ServerName};

use crate::StoreError;

/// How many faults are kept of a room: the newest.
pub const MAX_FAULTS_PER_ROOM: usize = 100;

/// Something that a room's hub did wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HubFault {
    /// The room.
    pub room_id: RoomId,
    /// Its hub.
    pub hub: ServerName,
    /// The event by which it showed.
    pub event_id: EventId,
    /// What kind of fault it is, in one word: it does not change from version to version.
    pub kind: String,
    /// The same for people.
    pub detail: String,
    /// When it was noticed, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Place in this server's order of arrival; assigned when stored.
    pub stream: i64,
}

/// The faults of hubs.
#[async_trait]
pub trait HubFaults {
    /// Keeps faults; those of rooms that are not known are dropped. What is kept already (the same kind of fault in the
    /// same event) stays as it is. Of each room the newest [`MAX_FAULTS_PER_ROOM`] are kept.
    async fn put_faults(&self, faults: Vec<HubFault>) -> Result<(), StoreError>;

    /// The faults of a room with `after < stream <= until`, oldest first.
    async fn faults(&self, room_id: &RoomId, after: i64, until: i64) -> Result<Vec<HubFault>, StoreError>;

    /// Those of all rooms, oldest first.
    async fn all_faults(&self) -> Result<Vec<HubFault>, StoreError>;
}
