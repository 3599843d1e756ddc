//! `GET /_matrix/client/v3/presence/{userId}/status`

use axle_protocol::MatrixError;
use ruma::api::client::presence::get_presence::v3::{Request, Response};
use ruma::presence::PresenceState;

use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

/// One's own, and that of those who share a room with one.
pub(crate) async fn presence_get(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let user_id = ids::user(&request.user_id)?;
    let asked = vec![user_id.clone()];
    if user_id != session.user_id && api.store.sharing_rooms(&session.user_id, asked).await?.is_empty() {
        return Err(MatrixError::forbidden("You share no room with this user.").into());
    }
    let Some(person) = api.presence.of(&user_id) else { return Ok(Response::new(PresenceState::Offline)) };
    let mut response = Response::new(person.state.clone());
    response.currently_active = Some(person.is_active());
    response.last_active_ago = Some(person.inactive_for());
    response.status_msg = person.status_msg;
    Ok(response)
}
