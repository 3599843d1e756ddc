//! `POST /_matrix/client/v3/rooms/{roomId}/send/{eventType}`: sending without a transaction id, so that a repeated request
//! is another event. Not in the specification any more, but older clients and bridges use it.

use axum::response::Response as HttpResponse;
use serde_json::value::RawValue;

use super::send;
use crate::delayed::SentOrWaiting;
use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::event_content;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::service::SendEvent;
use crate::session::Session;
use crate::state::Api;

pub(super) const PATHS: [&str; 2] =
    ["/_matrix/client/r0/rooms/{room_id}/send/{event_type}", "/_matrix/client/v3/rooms/{room_id}/send/{event_type}"];

pub(super) async fn send_once(api: Api, session: Session, request: RawRequest) -> ApiResult<HttpResponse> {
    session.require_active()?;
    let room_id = ids::room(request.path(0).unwrap_or_default())?;
    let event_type = request.path(1).unwrap_or_default().to_owned();
    event_content::check_key(&event_type, None)?;
    let body: Box<RawValue> = request.json().await?;
    let content = event_content::parse(&body)?;
    send::check(&api, &session, &room_id, &event_type, &content).await?;
    let event = SendEvent { room_id, sender: session.user_id, event_type, state_key: None, content, txn: None };
    Ok(respond(JsonResponse(SentOrWaiting::Sent { event_id: api.rooms.send(event).await? })))
}
