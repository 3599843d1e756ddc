//! `POST /_matrix/client/v3/rooms/{roomId}/leave`

use ruma::api::client::membership::leave_room::v3::{Request, Response};
use serde_json::Map;

use crate::error::ApiResult;
use crate::event_content::add_reason;
use crate::ids;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::{Access, not_in_room};

pub(crate) async fn leave(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    // One answer to everyone who has nothing to do with the room: it does not tell whether there is one.
    let inside = Access::of(&api, &session.user_id, &room_id).await?.has_to_do();
    if !inside && api.store.out_of_room_in(&session.user_id, &room_id).await?.is_none() {
        return Err(not_in_room().into());
    }
    let mut content = Map::new();
    add_reason(&mut content, request.reason);
    api.rooms.leave(&session.user_id, &room_id, content).await?;
    Ok(Response::new())
}
