//! The door between the endpoints of this crate and the MLS groups of encrypted rooms.

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::{EventId, MatrixError, RoomId, UserId};
use axle_store::ClientTxnKey;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Which state of a room's group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupAt {
    /// That of the epoch that holds.
    Now,
    /// That of the epoch which this commit led to, for who has a Welcome to it.
    After(EventId),
}

/// What a commit or proposal is to be bound to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindingRequest {
    /// Users whose devices the commit adds, also by proposals that wait.
    pub add: Vec<UserId>,
    /// The member event that is to be appended together with it.
    pub member: Option<MemberRequest>,
}

/// A member event to be prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRequest {
    /// Whose membership changes.
    pub user_id: UserId,
    /// To what: [`Membership::Leave`] or [`Membership::Ban`].
    pub membership: Membership,
    /// Content of the event beside `membership`.
    pub content: Map<String, Value>,
}

/// A member event, and what is to be appended as one with it.
#[derive(Debug, Clone)]
pub struct PairRequest {
    /// The member event, as [`GroupService::binding`] has prepared it.
    pub member: Box<RawValue>,
    /// What belongs to it.
    pub with: PairedWith,
    /// What a repetition is recognised by: it is answered as the first was.
    pub txn: ClientTxnKey,
}

/// What belongs to a member event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairedWith {
    /// The content of an `m.mls.commit` of the same sender: a kick or a ban.
    Commit(Map<String, Value>),
    /// A proposal, a PublicMessage of the same sender, which is queued: a leave.
    Proposal(Vec<u8>),
}

/// What was appended as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paired {
    /// The member event.
    pub member_event_id: EventId,
    /// The commit; `None` with a proposal, which is no event.
    pub commit_event_id: Option<EventId>,
}

/// What the endpoints need of the groups of rooms, which the hub of each room knows. That a user is in the room, or that
/// everybody may read it, is checked before; what the user may do there is not. Errors are ready to be answered: 409
/// `IM.AXLE.MLS.…` is the group's refusal, 504 says that the hub does not answer.
#[async_trait]
pub trait GroupService: Send + Sync + 'static {
    /// The state of a group, as it is answered to a client. 404 `M_NOT_FOUND` if there is none, or it is not kept.
    async fn group(&self, user_id: &UserId, room_id: &RoomId, at: GroupAt) -> Result<Map<String, Value>, MatrixError>;

    /// What a commit or proposal of this user has to be bound to now, as it is answered to a client.
    async fn binding(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        request: BindingRequest,
    ) -> Result<Map<String, Value>, MatrixError>;

    /// Appends a member event and what belongs to it as one, or neither. Once, however often it is asked for.
    async fn pair(&self, user_id: &UserId, room_id: &RoomId, request: PairRequest) -> Result<Paired, MatrixError>;

    /// Queues a proposal, a PublicMessage.
    async fn propose(&self, user_id: &UserId, room_id: &RoomId, message: Vec<u8>) -> Result<(), MatrixError>;

    /// Takes what a device says of a commit. Returns the epoch that the group went back to because of it, if it did.
    async fn report(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        report: Map<String, Value>,
    ) -> Result<Option<u64>, MatrixError>;
}
