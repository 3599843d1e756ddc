//! The queues towards other servers.

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use axle_federation::sender::{QueuedRooms, Sender};
use axle_protocol::event::Hash;
use axle_protocol::{RoomId, ServerName};

use crate::rooms::{Outbound, Rooms};

/// The federation's queues as the rooms use them. Rooms and queues need each other: this comes first, the queues are
/// connected when they are there, and disconnected when the server stops, so that nothing holds itself in memory.
#[derive(Default)]
pub(crate) struct FederationOutbound(ArcSwapOption<Sender>);

impl FederationOutbound {
    /// Gives the rooms their queues.
    pub(crate) fn connect(&self, sender: Sender) {
        self.0.store(Some(sender.into()));
    }

    /// Takes them away.
    pub(crate) fn disconnect(&self) {
        self.0.store(None);
    }
}

impl Outbound for FederationOutbound {
    fn wake(&self, destinations: &[ServerName]) {
        if let Some(sender) = &*self.0.load() {
            sender.wake(destinations);
        }
    }

    fn wake_lpdus(&self, hub: &ServerName, _: &RoomId) {
        if let Some(sender) = &*self.0.load() {
            sender.wake_lpdus(hub);
        }
    }
}

/// The rooms as the queues use them.
pub(crate) struct RoomsBehindQueues(pub(crate) Rooms);

#[async_trait]
impl QueuedRooms for RoomsBehindQueues {
    async fn hub(&self, room_id: &RoomId) -> Option<ServerName> {
        self.0.hub(room_id).await.unwrap_or_else(|error| {
            tracing::warn!(%room_id, %error, "the hub of a room cannot be told");
            None
        })
    }

    async fn lpdu_refused(&self, room_id: &RoomId, lpdu_hash: &Hash, reason: &str) {
        if let Err(error) = self.0.refuse_lpdu(room_id, lpdu_hash, reason).await {
            tracing::error!(%error, "a refusal cannot be stored");
        }
    }

    async fn lpdus_taken(&self, lpdus: &[(RoomId, Hash)]) {
        self.0.lpdus_taken(lpdus).await;
    }
}
