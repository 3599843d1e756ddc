//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`

use axle_protocol::RoomId;
use axle_store::StoredEvent;
use ruma::api::client::room::get_room_event::v3::{Request, Response};
use ruma::serde::Raw;

use crate::error::ApiResult;
use crate::ids;
use crate::ignored::Ignored;
use crate::render::{Format, View, render_event};
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

pub(crate) async fn event(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    let event = api.store.event(&ids::event(&request.event_id)?).await?;
    Ok(Response::new(visible_event(&api, &session, &room_id, event).await?))
}

/// An event as it is told to a user, if it is one of the room and they may see it. 404 `M_NOT_FOUND`.
pub(crate) async fn visible_event<T>(
    api: &Api,
    session: &Session,
    room_id: &RoomId,
    event: Option<StoredEvent>,
) -> ApiResult<Raw<T>> {
    let access = Access::of(api, &session.user_id, room_id).await?;
    let ignored = Ignored::of(api, &session.user_id).await?;
    match event {
        Some(event) if !ignored.hides(&event) && access.sees(api, &event).await? => {
            let view = View::timeline(Format::Full, access.end(api).await?);
            render_event(api, session, event, view).await
        }
        // One answer for what is not there and for what is hidden.
        _ => Err(ids::unknown_event().into()),
    }
}
