//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade`

use axle_protocol::MatrixError;
use ruma::api::auth_scheme::AccessToken;
use ruma::api::client::room::upgrade_room::v3 as ruma_upgrade_room;
use ruma::api::client::room::upgrade_room::v3::Response;
use serde::Deserialize;

use crate::error::ApiResult;
use crate::ids;
use crate::json_request::json_request;
use crate::power::may_send_state;
use crate::room_versions;
use crate::session::Session;
use crate::state::Api;
use crate::upgrade;
use crate::visibility::Access;

/// ruma's own request type knows no room version as long as those of drafts are.
#[derive(Deserialize)]
pub(crate) struct Request {
    #[serde(skip)]
    room_id: String,
    new_version: String,
}

pub(crate) async fn upgrade(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_active()?;
    let room_id = ids::room(&request.room_id)?;
    if api.store.state_event(&room_id, "m.room.create", "").await?.is_none() {
        return Err(MatrixError::new(404, "M_NOT_FOUND", "This server knows no such room.").into());
    }
    Access::of(&api, &session.user_id, &room_id).await?.require_joined()?;
    let version = room_versions::wanted(&api, &request.new_version)?;
    if !may_send_state(&api, &room_id, &session.user_id, upgrade::TOMBSTONE).await? {
        return Err(MatrixError::forbidden("You may not replace this room.").into());
    }
    api.limits.rooms.take(session.user_id.as_str())?;
    let replacement = upgrade::replace(&api, &session.user_id, &room_id, version).await?;
    Ok(Response::new(ids::ruma_room(&replacement)?))
}

json_request!(
    Request, like ruma_upgrade_room::Request, authentication: AccessToken, response: Response, path: room_id
);
