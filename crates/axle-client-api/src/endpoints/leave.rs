//! `POST /_matrix/client/v3/rooms/{roomId}/leave`

use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, RoomId, UserId};
use ruma::api::client::membership::leave_room::v3::{Request, Response};
use serde_json::Map;

use crate::error::ApiResult;
use crate::event_content::add_reason;
use crate::ids;
use crate::render::sender;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::{Access, member_event, membership};

pub(crate) async fn leave(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    if access.invited() && api.store.notice_room(&session.user_id).await?.as_ref() == Some(&room_id) {
        return Err(has_to_be_told().into());
    }
    if !access.has_to_do() && api.store.out_of_room_in(&session.user_id, &room_id).await?.is_none() {
        return if has_gone(&api, &session.user_id, &room_id).await? {
            Ok(Response::new())
        } else {
            // One answer to everyone who has nothing to do with the room: it does not tell whether there is one. Bridges
            // know this case by the last words.
            Err(MatrixError::forbidden("There is nothing to leave: user not in room").into())
        };
    }
    let mut content = Map::new();
    add_reason(&mut content, request.reason);
    api.rooms.leave(&session.user_id, &room_id, content).await?;
    Ok(Response::new())
}

/// Whether the user has left the room by themselves: then they say it again, perhaps because the answer was lost.
async fn has_gone(api: &Api, user_id: &UserId, room_id: &RoomId) -> ApiResult<bool> {
    let Some(member) = member_event(api, user_id, room_id).await? else { return Ok(false) };
    let by_themselves = sender(&member).is_some_and(|sender| sender == user_id.as_str());
    Ok(by_themselves && membership(&member) == Some(Membership::Leave))
}

fn has_to_be_told() -> MatrixError {
    MatrixError::new(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM", "You cannot decline what the server tells you.")
}
