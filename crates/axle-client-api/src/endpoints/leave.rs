//! `POST /_matrix/client/v3/rooms/{roomId}/leave`

use ruma::api::client::membership::leave_room::v3::{Request, Response};
use serde_json::Map;

use crate::error::ApiResult;
use crate::event_content::add_reason;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn leave(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    let mut content = Map::new();
    add_reason(&mut content, request.reason);
    api.rooms.leave(&session.user_id, &room_id, content).await?;
    Ok(Response::new())
}
