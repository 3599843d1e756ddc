//! Who is typing, in a sync.

use std::collections::BTreeSet;

use axle_protocol::{MatrixError, RoomId, UserId};
use ruma::events::AnySyncEphemeralRoomEvent;
use ruma::serde::Raw;
use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::error::{ApiError, ApiResult};
use crate::state::Api;

/// The type of the events.
pub(crate) const EVENT_TYPE: &str = "m.typing";

/// The rooms of a user in which it changed after a moment of this server's memory.
pub(crate) async fn changed(api: &Api, user_id: &UserId, since: i64) -> ApiResult<BTreeSet<RoomId>> {
    let rooms = api.typing.changed(since);
    if rooms.is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(api.store.joined_among(user_id, rooms).await?.into_iter().collect())
}

/// Who is typing in a room. Where nobody is, only those have to know who were told otherwise.
pub(crate) fn render(
    api: &Api,
    room_id: &RoomId,
    has_changed: bool,
) -> ApiResult<Option<Raw<AnySyncEphemeralRoomEvent>>> {
    #[derive(Serialize)]
    struct Event {
        #[serde(rename = "type")]
        event_type: &'static str,
        content: Content,
    }
    #[derive(Serialize)]
    struct Content {
        user_ids: Vec<UserId>,
    }
    let user_ids = api.typing.in_room(room_id);
    if user_ids.is_empty() && !has_changed {
        return Ok(None);
    }
    let event = to_raw_value(&Event { event_type: EVENT_TYPE, content: Content { user_ids } }).map_err(|error| {
        tracing::error!(%error, "who is typing cannot be rendered");
        ApiError::from(MatrixError::unknown("The server cannot tell who is typing."))
    })?;
    Ok(Some(Raw::from_json(event)))
}
