//! What users may do in rooms, for what the auth rules do not decide.

use axle_protocol::auth::{CREATOR_LEVEL, PowerLevels};
use axle_protocol::{RoomId, UserId};
use serde_json::{Map, Value};

use crate::error::ApiResult;
use crate::event_content;
use crate::render::{content, sender};
use crate::state::Api;

/// Whether a user who is in a room may send state of a type.
pub(crate) async fn may_send_state(api: &Api, room_id: &RoomId, user_id: &UserId, event_type: &str) -> ApiResult<bool> {
    let (level, levels) = level_of(api, room_id, user_id).await?;
    Ok(level >= levels.event(event_type, true))
}

/// Whether a user who is in a room may redact what others said there.
pub(crate) async fn may_redact(api: &Api, room_id: &RoomId, user_id: &UserId) -> ApiResult<bool> {
    let (level, levels) = level_of(api, room_id, user_id).await?;
    Ok(level >= levels.redact())
}

/// The level of a user, and what levels are needed.
async fn level_of(api: &Api, room_id: &RoomId, user_id: &UserId) -> ApiResult<(i64, PowerLevels)> {
    if let Some(levels) = content_of(api, room_id).await? {
        let levels = PowerLevels::from_content(&levels);
        return Ok((levels.user(user_id.as_str()), levels));
    }
    let create = api.store.state_event(room_id, "m.room.create", "").await?;
    let is_creator = create.as_ref().and_then(sender).as_deref() == Some(user_id.as_str());
    Ok((if is_creator { CREATOR_LEVEL } else { 0 }, PowerLevels::default()))
}

/// The content of a room's power levels.
pub(crate) async fn content_of(api: &Api, room_id: &RoomId) -> ApiResult<Option<Map<String, Value>>> {
    match api.store.state_event(room_id, "m.room.power_levels", "").await? {
        Some(event) => Ok(Some(event_content::parse(&content(&event)?)?)),
        None => Ok(None),
    }
}
