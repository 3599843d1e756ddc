//! What a user was to a room at a moment.

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};
use axle_store::{StoredEvent, UserRoom};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;
use crate::visibility;

/// Member events that are gone back through. Beyond that the user counts as new to the room, which repeats state but
/// loses nothing.
const MAX_STEPS: usize = 50;

/// A room, and where in stream order the member event is that a user has there now.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub(super) room_id: RoomId,
    pub(super) stream: i64,
}

impl Current {
    /// Looks it up.
    pub(super) async fn of(api: &Api, session: &Session, room_id: &RoomId) -> ApiResult<Option<Self>> {
        let member = visibility::member_event(api, &session.user_id, room_id).await?;
        Ok(member.map(|member| Self { room_id: member.room_id, stream: member.stream }))
    }
}

impl From<UserRoom> for Current {
    fn from(room: UserRoom) -> Self {
        Self { room_id: room.room_id, stream: room.stream }
    }
}

/// A membership and the event that gave it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) membership: Membership,
    pub(super) stream: i64,
    pub(super) event: StoredEvent,
}

/// The user's membership of a room after everything up to this stream position; `None`: none.
pub(super) async fn at(api: &Api, session: &Session, room_id: &RoomId, stream: i64) -> ApiResult<Option<Member>> {
    let member = visibility::member_event(api, &session.user_id, room_id).await?;
    of(api, &session.user_id, member, stream).await
}

/// The same, going back from a member event.
pub(super) async fn of(
    api: &Api,
    user_id: &UserId,
    mut event: Option<StoredEvent>,
    stream: i64,
) -> ApiResult<Option<Member>> {
    for _ in 0..MAX_STEPS {
        let Some(member) = event else { return Ok(None) };
        if member.stream <= stream {
            let membership = visibility::membership(&member);
            return Ok(membership.map(|membership| Member { membership, stream: member.stream, event: member }));
        }
        let before = visibility::member_before(api, user_id, &member.room_id, &member).await?;
        event = before.map(|before| before.event);
    }
    Ok(None)
}

/// What somebody was to a room before the member event that they have now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Before {
    /// Whether they were in the room at the moment that was asked for.
    pub(super) was_in: bool,
    /// Whether they were not in it at some time between that and the event.
    pub(super) was_out: bool,
}

/// Goes back from a member event to what held after everything up to this stream position.
pub(super) async fn since(api: &Api, user_id: &UserId, mut member: StoredEvent, stream: i64) -> ApiResult<Before> {
    let mut before = Before::default();
    for _ in 0..MAX_STEPS {
        let room_id = member.room_id.clone();
        let Some(replaced) = visibility::member_before(api, user_id, &room_id, &member).await? else {
            return Ok(before);
        };
        member = replaced.event;
        let is_in = visibility::membership(&member) == Some(Membership::Join);
        if member.stream <= stream {
            return Ok(Before { was_in: is_in, ..before });
        }
        before.was_out |= !is_in;
    }
    Ok(before)
}
