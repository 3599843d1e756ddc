//! `PUT /_matrix/client/v3/directory/room/{roomAlias}`

use axle_protocol::MatrixError;
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
    api.config.services.check_alias(session.service(), request.room_alias.as_str())?;
    let room_id = ids::room(&request.room_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    Access::of(&api, &session.user_id, &room_id).await?.require_joined()?;
    aliases::put(&api, request.room_alias.as_str(), &room_id, &session.user_id, taken).await?;
    Ok(Response::new())
}

fn taken() -> MatrixError {
    MatrixError::new(409, "M_UNKNOWN", "There is a room alias of this name already.")
}
