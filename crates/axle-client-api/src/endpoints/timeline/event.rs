//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`

use ruma::api::client::room::get_room_event::v3::{Request, Response};

use crate::error::ApiResult;
use crate::ids;
use crate::ignored::Ignored;
use crate::render::{Format, View, render_event};
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

pub(crate) async fn event(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    let event_id = ids::event(&request.event_id)?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    let ignored = Ignored::of(&api, &session.user_id).await?;
    match api.store.event(&event_id).await? {
        Some(event) if !ignored.hides(&event) && access.sees(&api, &event).await? => {
            let view = View::timeline(Format::Full, access.end(&api).await?);
            Ok(Response::new(render_event(&api, &session, event, view).await?))
        }
        // One answer for what is not there and for what is hidden.
        _ => Err(ids::unknown_event().into()),
    }
}
