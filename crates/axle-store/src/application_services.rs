//! Application services: how far each has been told of what happened, and what happened, whatever the room.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};

use crate::{OutOfRoom, Receipt, StoreError, StoredEvent, ToDevice};

/// How far an application service has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceProgress {
    /// It has everything up to this stream position.
    pub delivered: i64,
    /// The id of the last transaction; 0: there was none.
    pub txn: i64,
    /// Where that transaction ends, as long as it is not known to have arrived. It begins at `delivered`.
    pub until: Option<i64>,
}

/// What the queues towards application services need.
#[async_trait]
pub trait ApplicationServices {
    /// How far a service has been told. One that was never heard of begins now: what happened before is not told.
    async fn service_progress(&self, service: &str) -> Result<ServiceProgress, StoreError>;

    /// Keeps how far a service has been told.
    async fn put_service_progress(&self, service: &str, progress: ServiceProgress) -> Result<(), StoreError>;

    /// Events of all rooms with `after < stream <= until`, whatever their status, in order; at most `limit`.
    async fn events_in_stream(&self, after: i64, until: i64, limit: usize) -> Result<Vec<StoredEvent>, StoreError>;

    /// The same of what local users have outside of rooms that this server is in.
    async fn out_of_room_in_stream(&self, after: i64, until: i64, limit: usize) -> Result<Vec<OutOfRoom>, StoreError>;

    /// The same of public receipts, with their rooms.
    async fn receipts_in_stream(
        &self,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<(RoomId, Receipt)>, StoreError>;

    /// Messages that wait for devices of local users with `after < stream <= until`, in order, with whose and which device
    /// they are for; about `limit`: those at the place of the last one are all there.
    async fn to_device_in_stream(
        &self,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<(UserId, String, ToDevice)>, StoreError>;

    /// Users whose published keys changed last with `after < stream <= until`, in order, with the place of that; at most
    /// `limit`.
    async fn key_changes_in_stream(
        &self,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<(UserId, i64)>, StoreError>;

    /// Puts a room on the list of a network of a service, or takes it off.
    async fn set_listed_on_network(
        &self,
        service: &str,
        network: &str,
        room_id: &RoomId,
        listed: bool,
    ) -> Result<(), StoreError>;

    /// The rooms on the list of a network, by id, those after one; at most `limit`.
    async fn rooms_on_network(
        &self,
        service: &str,
        network: &str,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError>;

    /// The rooms on the list of any network that are not on this server's own list, each once, by id, those after one; at
    /// most `limit`.
    async fn rooms_on_networks_only(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<RoomId>, StoreError>;
}
