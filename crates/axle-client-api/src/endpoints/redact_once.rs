//! `POST /_matrix/client/v3/rooms/{roomId}/redact/{eventId}`: redacting without a transaction id. Not in the specification
//! any more, but older clients use it.

use axum::response::Response as HttpResponse;
use serde::Deserialize;

use super::redact::send_redaction;
use crate::delayed::SentOrWaiting;
use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

pub(super) const PATHS: [&str; 2] =
    ["/_matrix/client/r0/rooms/{room_id}/redact/{event_id}", "/_matrix/client/v3/rooms/{room_id}/redact/{event_id}"];

#[derive(Default, Deserialize)]
struct Body {
    reason: Option<String>,
}

pub(super) async fn redact_once(api: Api, session: Session, request: RawRequest) -> ApiResult<HttpResponse> {
    let room_id = ids::room(request.path(0).unwrap_or_default())?;
    let event_id = ids::event(request.path(1).unwrap_or_default())?;
    let Body { reason } = request.json_or_empty().await?;
    let event_id = send_redaction(&api, session, room_id, event_id, reason, None).await?;
    Ok(respond(JsonResponse(SentOrWaiting::Sent { event_id })))
}
