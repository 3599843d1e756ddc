//! `GET /_matrix/client/v3/events/{eventId}`

use axum::response::Response as HttpResponse;
use ruma::events::AnyTimelineEvent;
use ruma::serde::Raw;

use crate::endpoint::{RawRequest, respond};
use crate::endpoints::timeline::visible_event;
use crate::error::ApiResult;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

pub(super) async fn event(api: Api, session: Session, request: RawRequest) -> ApiResult<HttpResponse> {
    let event_id = ids::event(request.path(0).unwrap_or_default())?;
    let event = api.store.event(&event_id).await?.ok_or_else(ids::unknown_event)?;
    let room_id = event.room_id.clone();
    let event: Raw<AnyTimelineEvent> = visible_event(&api, &session, &room_id, Some(event)).await?;
    Ok(respond(JsonResponse(event)))
}
