//! `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`

use ruma::api::client::config::set_room_account_data::v3::{Request, Response};

use crate::account_data::{self, Key};
use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

/// The user need not be in the room: clients keep notes of rooms that they were invited to or have left.
pub(crate) async fn room_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_user(request.user_id.as_str())?;
    let room_id = ids::room(&request.room_id)?;
    let event_type = request.event_type.to_string();
    account_data::check_settable(&event_type)?;
    let content = account_data::parse(request.data.json())?;
    api.limits.changes.take(session.user_id.as_str())?;
    let key = Key { user_id: &session.user_id, room_id: Some(&room_id), event_type: &event_type };
    account_data::put(&api, key, content).await?;
    Ok(Response::new())
}
