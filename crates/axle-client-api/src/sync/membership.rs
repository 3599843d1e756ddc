//! What a user was to a room at a moment.

use axle_protocol::auth::Membership;
use axle_store::{StoredEvent, UserRoom};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;
use crate::visibility;

/// Member events that are gone back through. Beyond that the user counts as new to the room, which repeats state but
/// loses nothing.
const MAX_STEPS: usize = 50;

/// A membership and the event that gave it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) membership: Membership,
    pub(super) stream: i64,
    pub(super) event: StoredEvent,
}

/// The user's membership after everything up to this stream position; `None`: none.
pub(super) async fn at(api: &Api, session: &Session, room: &UserRoom, stream: i64) -> ApiResult<Option<Member>> {
    let mut event = api.store.event(&room.event_id).await?;
    for _ in 0..MAX_STEPS {
        let Some(member) = event else { return Ok(None) };
        if member.stream <= stream {
            let membership = visibility::membership(&member);
            return Ok(membership.map(|membership| Member { membership, stream: member.stream, event: member }));
        }
        let before = visibility::member_before(api, &session.user_id, &room.room_id, &member).await?;
        event = before.map(|before| before.event);
    }
    Ok(None)
}
