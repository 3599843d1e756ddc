//! `GET /_matrix/client/v3/rooms/{roomId}/state`

use ruma::api::client::state::get_state_events::v3::{Request, Response};

use crate::error::ApiResult;
use crate::ids;
use crate::render::{Format, View, render};
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

pub(crate) async fn state_get(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    let state = access.state(&api).await?;
    let view = View::state(Format::Full, access.end(&api).await?);
    Ok(Response::new(render(&api, &session, &state, view).await?))
}
