//! `POST /_matrix/client/v3/rooms/{roomId}/report`

use axle_protocol::MatrixError;
use ruma::api::client::room::report_room::v3::{Request, Response};

use crate::error::ApiResult;
use crate::ids;
use crate::reports::{self, Subject};
use crate::room_description::describe_one;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

pub(crate) async fn report_room(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    if !knows(&api, &session, &room_id).await? {
        return Err(MatrixError::not_found("There is no such room, or you may not see it.").into());
    }
    let subject = Subject { room_id: Some(room_id), ..Subject::default() };
    reports::store(&api, &session, subject, request.reason).await?;
    Ok(Response::new())
}

/// Whether the user has to do with the room, had, or may see it.
async fn knows(api: &Api, session: &Session, room_id: &axle_protocol::RoomId) -> ApiResult<bool> {
    let access = Access::of(api, &session.user_id, room_id).await?;
    if access.has_to_do() || access.ever_joined() {
        return Ok(true);
    }
    if api.store.out_of_room_in(&session.user_id, room_id).await?.is_some() {
        return Ok(true);
    }
    match describe_one(api, room_id).await? {
        Some(description) => description.is_for(api, Some(&session.user_id)).await,
        None => Ok(false),
    }
}
