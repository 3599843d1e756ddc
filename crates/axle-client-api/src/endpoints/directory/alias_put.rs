//! `PUT /_matrix/client/v3/directory/room/{roomAlias}`

use axle_protocol::{MatrixError, RoomId};
use ruma::api::client::alias::create_alias::v3::{Request, Response};

use crate::aliases;
use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

pub(crate) async fn alias_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_active()?;
    aliases::require_own(&api, &request.room_alias)?;
    api.config.services.check_alias(&session, request.room_alias.as_str())?;
    let room_id = ids::room(&request.room_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    match session.service() {
        // What its aliases stand for is the service's to say.
        Some(_) => require_known(&api, &room_id).await?,
        None => Access::of(&api, &session.user_id, &room_id).await?.require_joined()?,
    }
    aliases::put(&api, request.room_alias.as_str(), &room_id, &session.user_id, taken).await?;
    Ok(Response::new())
}

/// 404 `M_NOT_FOUND` for a room that is not known here.
async fn require_known(api: &Api, room_id: &RoomId) -> ApiResult<()> {
    let create = api.store.state_event(room_id, "m.room.create", "").await?;
    create.map(|_| ()).ok_or_else(|| MatrixError::not_found("The room is not known to this server.").into())
}

fn taken() -> MatrixError {
    MatrixError::new(409, "M_UNKNOWN", "There is a room alias of this name already.")
}
