//! What both APIs need of the groups of encrypted rooms: local users of the hub, here or elsewhere; other servers of the
//! hub here.

use async_trait::async_trait;
use axle_client_api::{BindingRequest, GroupAt, GroupService, PairRequest, Paired, PairedWith};
use axle_federation::{GroupHub, PairedEvents, ReceivedPair};
use axle_protocol::{EventId, MatrixError, RoomId, ServerName, UserId};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::rooms::groups::{self, Asker, HubPaired};
use crate::rooms::{Rooms, group_forward};

#[async_trait]
impl GroupService for Rooms {
    async fn group(&self, user_id: &UserId, room_id: &RoomId, at: GroupAt) -> Result<Map<String, Value>, MatrixError> {
        match group_forward::other_hub(self, room_id).await? {
            None => groups::state(self, Asker::User(user_id), room_id, at).await,
            Some(hub) => group_forward::group(self, &hub, room_id, &at).await,
        }
    }

    async fn binding(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        request: BindingRequest,
    ) -> Result<Map<String, Value>, MatrixError> {
        groups::binding(self, user_id, room_id, request).await
    }

    async fn pair(&self, user_id: &UserId, room_id: &RoomId, request: PairRequest) -> Result<Paired, MatrixError> {
        // Before anything else: who has left with it, may not be in the room any more.
        if let Some(paired) = groups::paired_before(self, &request.txn).await? {
            return Ok(paired);
        }
        if let Some(hub) = group_forward::other_hub(self, room_id).await? {
            return group_forward::pair(self, &hub, user_id, room_id, request).await;
        }
        let with = match request.with {
            PairedWith::Commit(content) => HubPaired::LocalCommit(content),
            PairedWith::Proposal(message) => HubPaired::Proposal { sender: user_id.clone(), message },
        };
        groups::pair(self, Asker::User(user_id), room_id, request.member, (with, Some(request.txn))).await
    }

    async fn propose(&self, user_id: &UserId, room_id: &RoomId, message: Vec<u8>) -> Result<(), MatrixError> {
        match group_forward::other_hub(self, room_id).await? {
            None => groups::propose(self, Asker::User(user_id), room_id, user_id, message).await,
            Some(hub) => group_forward::propose(self, &hub, user_id, room_id, &message).await,
        }
    }

    async fn report(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        report: Map<String, Value>,
    ) -> Result<Option<u64>, MatrixError> {
        match group_forward::other_hub(self, room_id).await? {
            None => groups::report(self, Asker::User(user_id), room_id, report).await,
            Some(hub) => group_forward::report(self, &hub, room_id, &report).await,
        }
    }
}

#[async_trait]
impl GroupHub for Rooms {
    async fn group(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        commit: Option<EventId>,
    ) -> Result<Map<String, Value>, MatrixError> {
        let at = commit.map_or(GroupAt::Now, GroupAt::After);
        groups::state(self, Asker::Server(origin), room_id, at).await
    }

    async fn pair(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        member: Box<RawValue>,
        with: ReceivedPair,
    ) -> Result<PairedEvents, MatrixError> {
        let with = match with {
            ReceivedPair::Commit(lpdu) => HubPaired::Commit(lpdu),
            ReceivedPair::Proposal { sender, message } => HubPaired::Proposal { sender, message },
        };
        let paired = groups::pair(self, Asker::Server(origin), room_id, member, (with, None)).await?;
        Ok(PairedEvents { member_event_id: paired.member_event_id, commit_event_id: paired.commit_event_id })
    }

    async fn propose(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        sender: UserId,
        message: Vec<u8>,
    ) -> Result<(), MatrixError> {
        groups::propose(self, Asker::Server(origin), room_id, &sender, message).await
    }

    async fn report(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        report: Map<String, Value>,
    ) -> Result<Option<u64>, MatrixError> {
        groups::report(self, Asker::Server(origin), room_id, report).await
    }
}
