//! Which other servers a room lets ask about it. What they bring into it is the rooms' own matter.

use axle_protocol::{RoomId, ServerAcl, ServerName};
use serde_json::{Map, Value};

use crate::error::ApiResult;
use crate::state::Api;
use crate::visibility;

/// Whether a room's server ACL, if it has one, allows a server.
pub(crate) async fn allows(api: &Api, room_id: &RoomId, server: &ServerName) -> ApiResult<bool> {
    let Some(event) = api.store.state_event(room_id, ServerAcl::EVENT_TYPE, "").await? else { return Ok(true) };
    // Also where it has been redacted: it holds until there is another.
    let content: Option<Map<String, Value>> = visibility::content(&event);
    Ok(content.is_some_and(|content| ServerAcl::from_content(&content).allows(server.as_str())))
}
