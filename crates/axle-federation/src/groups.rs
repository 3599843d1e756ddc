//! The door between the endpoints of this crate and the MLS groups of encrypted rooms, and what servers tell each other
//! about those.

use async_trait::async_trait;
use axle_protocol::{Event, EventId, MatrixError, RoomId, ServerName, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What belongs to a member event, as it is sent to the room's hub.
#[derive(Debug, Clone, Copy)]
pub enum PairedAtHub<'a> {
    /// The LPDU of an `m.mls.commit`.
    Commit(&'a Event),
    /// A proposal of this user, a PublicMessage.
    Proposal {
        /// A user of the server that sends it.
        sender: &'a UserId,
        /// The message.
        message: &'a [u8],
    },
}

/// The same as a hub receives it.
#[derive(Debug)]
pub enum ReceivedPair {
    /// The LPDU of an `m.mls.commit`.
    Commit(Box<RawValue>),
    /// A proposal of this user, a PublicMessage.
    Proposal {
        /// A user of the server that sent it.
        sender: UserId,
        /// The message.
        message: Vec<u8>,
    },
}

/// What a hub has appended as one: the answer to `POST pair/:roomId`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairedEvents {
    /// The member event.
    pub member_event_id: EventId,
    /// The commit, if one belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_event_id: Option<EventId>,
}

/// What the endpoints need of the groups of rooms whose hub this server is. `origin` is always the authenticated sender of
/// the request; whether it has a part in the room is not checked before. 409 `IM.AXLE.MLS.…` is a group's refusal.
#[async_trait]
pub trait GroupHub: Send + Sync + 'static {
    /// `GET group/:roomId`: the state of the epoch that holds, or of the one that a commit led to.
    async fn group(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        commit: Option<EventId>,
    ) -> Result<Map<String, Value>, MatrixError>;

    /// `POST pair/:roomId`: appends a member event and what belongs to it as one, or neither.
    async fn pair(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        member: Box<RawValue>,
        with: ReceivedPair,
    ) -> Result<PairedEvents, MatrixError>;

    /// `POST proposals/:roomId`: queues a proposal, a PublicMessage of a user of `origin`.
    async fn propose(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        sender: UserId,
        message: Vec<u8>,
    ) -> Result<(), MatrixError>;

    /// `POST reports/:roomId`: what a device says of a commit. Returns the epoch that the group went back to, if it did.
    async fn report(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        report: Map<String, Value>,
    ) -> Result<Option<u64>, MatrixError>;
}
