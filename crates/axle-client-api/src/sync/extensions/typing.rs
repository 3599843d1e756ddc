//! Who is typing, in a sync.

use std::collections::BTreeSet;

use axle_protocol::{RoomId, UserId};
use ruma::events::AnySyncEphemeralRoomEvent;
use ruma::serde::Raw;
use serde::Serialize;
use serde_json::value::RawValue;

use super::fleeting_event;
use crate::error::ApiResult;
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
    let user_ids = api.typing.in_room(room_id);
    if user_ids.is_empty() && !has_changed {
        return Ok(None);
    }
    Ok(Some(Raw::from_json(event(user_ids, None)?)))
}

/// The same for those whom events tell their room.
pub(crate) fn of_room(api: &Api, room_id: &RoomId) -> ApiResult<Box<RawValue>> {
    event(api.typing.in_room(room_id), Some(room_id))
}

fn event(user_ids: Vec<UserId>, room_id: Option<&RoomId>) -> ApiResult<Box<RawValue>> {
    #[derive(Serialize)]
    struct Content {
        user_ids: Vec<UserId>,
    }
    fleeting_event(EVENT_TYPE, room_id, &Content { user_ids })
}
