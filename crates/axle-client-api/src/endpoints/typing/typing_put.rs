//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`

use ruma::api::client::typing::create_typing_event::v3::{Request, Response, Typing};

use crate::error::ApiResult;
use crate::ids;
use crate::presence;
use crate::session::Session;
use crate::state::Api;
use crate::typing;
use crate::visibility::Access;

pub(crate) async fn typing_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_user(request.user_id.as_str())?;
    let room_id = ids::room(&request.room_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    Access::of(&api, &session.user_id, &room_id).await?.require_joined()?;
    presence::did_something(&api, &session.user_id);
    let timeout = match request.state {
        Typing::Yes(info) => Some(info.timeout),
        Typing::No => None,
    };
    typing::set(&api, &room_id, &session.user_id, timeout).await;
    Ok(Response::new())
}
