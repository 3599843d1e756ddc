//! What other servers are still to get from us, and what they sent.

use std::sync::Arc;

use async_trait::async_trait;
use axle_protocol::event::Hash;
use axle_protocol::{EventId, RoomId, ServerName};

use crate::{ClientTxnKey, StoreError};

/// An event that a destination has not acknowledged yet.
#[derive(Debug, Clone)]
pub struct PendingEvent {
    /// Its stream position: what is acknowledged.
    pub stream: i64,
    /// The event.
    pub event_id: EventId,
    /// Its room.
    pub room_id: RoomId,
    /// The exact bytes.
    pub json: Arc<str>,
}

/// An LPDU of one of our users that its hub has not taken yet. Queued by room: the hub is looked up when it is sent.
#[derive(Debug, Clone)]
pub struct PendingLpdu {
    /// Grows with the order of queueing; assigned when stored.
    pub id: i64,
    /// The room.
    pub room_id: RoomId,
    /// How its echo is recognised.
    pub lpdu_hash: Hash,
    /// The exact bytes.
    pub json: Arc<str>,
    /// The client transaction that waits for it.
    pub client_txn: Option<ClientTxnKey>,
}

/// An invite in a room, and the server of its target, which is not in the room and is still to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Who is to be told.
    pub destination: ServerName,
    /// The invite.
    pub event_id: EventId,
}

/// An event that a destination refused for good; the queue goes on without it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ParkedEvent {
    /// Who refused.
    pub destination: ServerName,
    /// What.
    pub event_id: EventId,
    /// Why, in the words of the destination.
    pub reason: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
}

/// How a destination does, for an operator.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DestinationStatus {
    /// Who.
    pub destination: ServerName,
    /// Events it has not acknowledged, and LPDUs that wait for it as their hub.
    pub pending: u64,
    /// The stream position up to which it has acknowledged everything; 0 for one that only LPDUs wait for.
    pub acknowledged: i64,
    /// When the first of a row of failures happened (milliseconds since the Unix epoch); `None` if the last attempt
    /// succeeded.
    pub failing_since: Option<i64>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

impl DestinationStatus {
    /// Counts LPDUs that wait for this hub.
    pub(crate) fn add_lpdus(all: &mut Vec<Self>, hub: ServerName, lpdus: u64) {
        match all.iter_mut().find(|status| status.destination == hub) {
            Some(status) => status.pending += lpdus,
            None => all.push(Self {
                destination: hub,
                pending: lpdus,
                acknowledged: 0,
                failing_since: None,
                last_error: None,
            }),
        }
    }
}

/// The answer that a transaction got, for a repeated request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundResponse {
    /// HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: String,
}

/// Queues towards other servers, and the memory of what they sent.
#[async_trait]
pub trait Delivery {
    /// Destinations that have something pending.
    async fn pending_destinations(&self) -> Result<Vec<ServerName>, StoreError>;

    /// The first events that a destination has not acknowledged, in stream order, with a stream position above
    /// `after` (0: from the acknowledged cursor).
    async fn pending_events(
        &self,
        destination: &ServerName,
        after: i64,
        limit: usize,
    ) -> Result<Vec<PendingEvent>, StoreError>;

    /// Everything up to this stream position has been delivered. Not waited for: after a crash an event may be sent
    /// again, which receivers recognise by its id.
    fn acknowledge(&self, destination: &ServerName, stream: i64);

    /// Remembers how the last attempt went. Not waited for.
    fn record_attempt(&self, destination: &ServerName, at: i64, error: Option<String>);

    /// Sets an event aside for an operator to see.
    async fn park(&self, parked: ParkedEvent) -> Result<(), StoreError>;

    /// The events set aside.
    async fn parked(&self) -> Result<Vec<ParkedEvent>, StoreError>;

    /// Every destination that events were ever queued for.
    async fn destinations(&self) -> Result<Vec<DestinationStatus>, StoreError>;

    /// The rooms whose events a destination gets from us as they come, in the order of their ids, and the stream position of
    /// the newest of each.
    async fn destination_rooms(&self, destination: &ServerName) -> Result<Vec<(RoomId, i64)>, StoreError>;

    /// Queues an LPDU of a local user. Returns its id.
    async fn queue_lpdu(&self, lpdu: PendingLpdu) -> Result<i64, StoreError>;

    /// The queued LPDUs of a room, or of all rooms, in order.
    async fn pending_lpdus(&self, room_id: Option<&RoomId>) -> Result<Vec<PendingLpdu>, StoreError>;

    /// The hub refused an LPDU: takes it out of the queue and answers its client transaction with the reason.
    async fn refuse_lpdu(&self, lpdu_hash: &Hash, reason: &str) -> Result<(), StoreError>;

    /// Servers that are to be told of invites.
    async fn announcement_destinations(&self) -> Result<Vec<ServerName>, StoreError>;

    /// The first invites that a server is to be told of, the oldest first.
    async fn announcements(&self, destination: &ServerName, limit: usize) -> Result<Vec<Announcement>, StoreError>;

    /// The server was told of the invite, or need not be any more.
    async fn announced(&self, announcement: &Announcement) -> Result<(), StoreError>;

    /// The answer that a transaction of another server got.
    async fn inbound_response(
        &self,
        origin: &ServerName,
        endpoint: &str,
        txn_id: &str,
    ) -> Result<Option<InboundResponse>, StoreError>;

    /// Remembers an answer; the newest few of each origin and endpoint are kept. Not waited for: written in order
    /// with everything else, and a repeated transaction is recognised by its events anyway.
    fn record_inbound(&self, origin: &ServerName, endpoint: &str, txn_id: &str, response: InboundResponse);
}
