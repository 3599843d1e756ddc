//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`

use axle_protocol::{EventId, MatrixError, RoomId};
use axle_store::StoredEvent;
use ruma::api::client::state::send_state_event::v3::Request;
use serde_json::{Map, Value};

use crate::aliases::{self, CANONICAL_ALIAS};
use crate::delayed::{self, MayWait, NewDelayed, SentOrWaiting};
use crate::error::ApiResult;
use crate::event_content;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::render::sender;
use crate::service::SendEvent;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::{self, Access};

/// The same with an empty state key.
pub(super) const PATHS: [&str; 6] = [
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}/{state_key}",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}/",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/{state_key}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}",
];

pub(crate) async fn state_put(
    api: Api,
    session: Session,
    request: MayWait<Request>,
) -> ApiResult<JsonResponse<SentOrWaiting>> {
    session.require_active()?;
    let delay_ms = request.delay_ms()?;
    let request = request.request;
    let room_id = ids::room(&request.room_id)?;
    let event_type = request.event_type.to_string();
    event_content::check_key(&event_type, Some(&request.state_key))?;
    let content = event_content::parse(request.body.json())?;
    api.limits.changes.take(session.user_id.as_str())?;
    // Joining, leaving and knocking involve other servers and have endpoints of their own.
    Access::of(&api, &session.user_id, &room_id).await?.require_joined()?;
    if event_type == "m.room.create" {
        return Err(MatrixError::forbidden("A room is created once.").into());
    }
    if event_type == CANONICAL_ALIAS && request.state_key.is_empty() {
        aliases::check_canonical(&api, &room_id, &content).await?;
    }
    let timestamp = session.timestamp(request.timestamp);
    if let Some(delay_ms) = delay_ms {
        let state_key = Some(request.state_key);
        let new = NewDelayed { room_id, event_type, state_key, content, delay_ms, txn: None };
        return Ok(JsonResponse(SentOrWaiting::Waiting { delay_id: delayed::schedule(&api, &session, new).await? }));
    }
    if let Some(event_id) = same(&api, &session, &room_id, (&event_type, &request.state_key), &content).await? {
        return Ok(JsonResponse(SentOrWaiting::Sent { event_id }));
    }
    let event = SendEvent {
        room_id,
        sender: session.user_id,
        event_type,
        state_key: Some(request.state_key),
        content,
        txn: None,
    };
    Ok(JsonResponse(SentOrWaiting::Sent { event_id: api.rooms.send_at(event, timestamp).await? }))
}

/// The event by which the user has said the same already, if that holds: to say it again would change nothing.
async fn same(
    api: &Api,
    session: &Session,
    room_id: &RoomId,
    (event_type, state_key): (&str, &str),
    content: &Map<String, Value>,
) -> ApiResult<Option<EventId>> {
    let known = api.store.state_event(room_id, event_type, state_key).await?;
    let is_same = |known: &StoredEvent| {
        known.redacted_by.is_none()
            && sender(known).is_some_and(|sender| sender == session.user_id.as_str())
            && visibility::content::<Map<String, Value>>(known).is_some_and(|known| known == *content)
    };
    Ok(known.filter(is_same).map(|known| known.event_id))
}
