//! `PUT /_matrix/client/v3/directory/list/room/{roomId}`

use axle_protocol::MatrixError;
use ruma::api::auth_scheme::AccessToken;
use ruma::api::client::directory::set_room_visibility::v3 as ruma_set_visibility;
use ruma::api::client::directory::set_room_visibility::v3::Response;
use serde::Deserialize;

use crate::aliases::CANONICAL_ALIAS;
use crate::error::ApiResult;
use crate::ids;
use crate::json_request::json_request;
use crate::power::may_send_state;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

/// ruma's own request type demands what may be left out.
#[derive(Deserialize)]
pub(crate) struct Request {
    #[serde(skip)]
    room_id: String,
    #[serde(default)]
    visibility: Listed,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Listed {
    #[default]
    Public,
    Private,
}

/// Who may change what a room is called may put it on the list.
pub(crate) async fn listed_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_active()?;
    let room_id = ids::room(&request.room_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    if !access.joined() && !access.ever_joined() {
        return Err(MatrixError::not_found("This server knows no such room.").into());
    }
    if !access.joined() || !may_send_state(&api, &room_id, &session.user_id, CANONICAL_ALIAS).await? {
        return Err(MatrixError::forbidden("You may not change whether this room is listed.").into());
    }
    api.store.set_listed(&room_id, request.visibility == Listed::Public).await?;
    Ok(Response::new())
}

json_request!(
    Request, like ruma_set_visibility::Request, authentication: AccessToken, response: Response, path: room_id
);
