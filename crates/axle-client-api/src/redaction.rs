//! What users may redact. The auth rules leave that to the servers of those who do: they let any user redact what users of
//! the same server said.

use axle_protocol::{EventId, MatrixError, RoomId, ServerAcl, UserId};
use serde_json::{Map, Value};

use crate::error::ApiResult;
use crate::power::may_redact;
use crate::render::sender;
use crate::state::Api;
use crate::visibility::StateKey;

/// The type of the event.
pub(crate) const REDACTION: &str = "m.room.redaction";

/// Refuses what a user, who is in the room, may not redact: 403 `M_FORBIDDEN` for what others said, unless they have the
/// power, and for server ACLs; 400 `M_INVALID_PARAM` for an event of another room. Of an event that is not here, the room's
/// hub decides.
pub(crate) async fn check(api: &Api, user_id: &UserId, room_id: &RoomId, event_id: &EventId) -> ApiResult<()> {
    let Some(event) = api.store.event(event_id).await? else { return Ok(()) };
    if event.room_id != *room_id {
        return Err(MatrixError::invalid_param("The event is not in this room.").into());
    }
    if StateKey::of(&event).is_some_and(|key| key.event_type == ServerAcl::EVENT_TYPE) {
        let reason = "A server ACL cannot be redacted: with nothing in it, it keeps every server out. Send a new one.";
        return Err(MatrixError::forbidden(reason).into());
    }
    if sender(&event).as_deref() == Some(user_id.as_str()) || may_redact(api, room_id, user_id).await? {
        return Ok(());
    }
    Err(MatrixError::forbidden("You may redact only what you said yourself.").into())
}

/// The same for an event that is sent as any other.
pub(crate) async fn check_sent(
    api: &Api,
    user_id: &UserId,
    room_id: &RoomId,
    event_type: &str,
    content: &Map<String, Value>,
) -> ApiResult<()> {
    if event_type != REDACTION {
        return Ok(());
    }
    match content.get("redacts").and_then(Value::as_str).and_then(|id| EventId::parse(id).ok()) {
        Some(event_id) => check(api, user_id, room_id, &event_id).await,
        None => Ok(()),
    }
}
