//! Requests to other servers.

use async_trait::async_trait;
use axle_federation::client::{Client, ClientError};
use axle_federation::{MembershipChange, RoomTemplate};
use axle_protocol::{Event, EventId, RoomId, RoomVersion, ServerName, UserId};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::rooms::{PeerError, Peers, SentJoin};

/// The federation client as the rooms use it.
pub(crate) struct FederationPeers(pub(crate) Client);

#[async_trait]
impl Peers for FederationPeers {
    async fn make_membership(
        &self,
        destination: &ServerName,
        change: MembershipChange,
        room_id: &RoomId,
        user_id: &UserId,
        versions: &[RoomVersion],
    ) -> Result<RoomTemplate, PeerError> {
        self.0.make_membership(destination, change, room_id, user_id, versions).await.map_err(peer_error)
    }

    async fn send_join(&self, destination: &ServerName, lpdu: &Event) -> Result<SentJoin, PeerError> {
        let sent = self.0.send_join(destination, &txn_id(lpdu), lpdu).await.map_err(peer_error)?;
        Ok(SentJoin { event: sent.event, state: sent.state, auth_chain: sent.auth_chain })
    }

    async fn send_leave(&self, destination: &ServerName, lpdu: &Event) -> Result<(), PeerError> {
        self.0.send_leave(destination, &txn_id(lpdu), lpdu).await.map_err(peer_error)
    }

    async fn send_knock(&self, destination: &ServerName, lpdu: &Event) -> Result<Vec<Value>, PeerError> {
        self.0.send_knock(destination, &txn_id(lpdu), lpdu).await.map_err(peer_error)
    }

    async fn invite(
        &self,
        destination: &ServerName,
        event: &Event,
        stripped_state: &[Value],
    ) -> Result<Box<RawValue>, PeerError> {
        self.0.invite(destination, &txn_id(event), event, stripped_state).await.map_err(peer_error)
    }

    async fn backfill(
        &self,
        destination: &ServerName,
        room_id: &RoomId,
        from: &EventId,
        limit: usize,
    ) -> Result<Vec<Box<RawValue>>, PeerError> {
        self.0.backfill(destination, room_id, from, limit).await.map_err(peer_error)
    }

    async fn state(
        &self,
        destination: &ServerName,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<(Vec<Box<RawValue>>, Vec<Box<RawValue>>), PeerError> {
        let answer = self.0.state(destination, room_id, event_id).await.map_err(peer_error)?;
        Ok((answer.pdus, answer.auth_chain))
    }

    async fn replays_state(&self, destination: &ServerName) -> bool {
        self.0.replays_state(destination).await
    }
}

/// The same event is the same transaction, however often it is sent.
fn txn_id(event: &Event) -> String {
    event.event_id().as_str().trim_start_matches('$').to_owned()
}

fn peer_error(error: ClientError) -> PeerError {
    match error {
        ClientError::Refused(refusal) => PeerError::Refused(refusal.error),
        other => PeerError::Unreachable(other.to_string()),
    }
}
