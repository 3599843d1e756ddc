//! `POST /_matrix/client/v3/rooms/{roomId}/leave`

use axle_protocol::MatrixError;
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
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    if access.invited() && api.store.notice_room(&session.user_id).await?.as_ref() == Some(&room_id) {
        return Err(has_to_be_told().into());
    }
    if !access.has_to_do() && api.store.out_of_room_in(&session.user_id, &room_id).await?.is_none() {
        return Err(not_in_room().into());
    }
    let mut content = Map::new();
    add_reason(&mut content, request.reason);
    api.rooms.leave(&session.user_id, &room_id, content).await?;
    Ok(Response::new())
}

fn has_to_be_told() -> MatrixError {
    MatrixError::new(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM", "You cannot decline what the server tells you.")
}
