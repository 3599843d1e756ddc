//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`

use axle_protocol::{EventId, MatrixError, RoomId};
use axle_store::StoredEvent;
use ruma::api::client::state::send_state_event::v3::Request;
use serde_json::{Map, Value};

use crate::aliases::{self, CANONICAL_ALIAS};
use crate::delayed::{self, MayWait, NewDelayed, SentOrWaiting};
use crate::endpoints::join::{join_room, sayable};
use crate::error::ApiResult;
use crate::event_content;
use crate::guests;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::render::sender;
use crate::service::SendEvent;
use crate::session::Session;
use crate::state::Api;
use crate::succession;
use crate::upgrade;
use crate::visibility::{self, Access, MEMBER};

/// The same with an empty state key.
pub(super) const PATHS: [&str; 6] = [
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}/{state_key}",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}/",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/{state_key}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}",
];

/// Sends the event, unless the same user has sent the same before and it still holds: then it is answered with that.
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
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    if !access.joined() && delay_ms.is_none() && is_own_join(&session, &request, &content) {
        let event_id = join(&api, &session, &room_id, content).await?;
        return Ok(JsonResponse(SentOrWaiting::Sent { event_id }));
    }
    api.limits.changes.take(session.user_id.as_str())?;
    // Leaving and knocking involve other servers, and have endpoints of their own.
    access.require_joined()?;
    guests::check_set(&api, &session, &room_id, &event_type, &request.state_key).await?;
    if event_type == "m.room.create" {
        return Err(MatrixError::forbidden("A room is created once.").into());
    }
    if event_type == CANONICAL_ALIAS && request.state_key.is_empty() {
        aliases::check_canonical(&api, &room_id, &content).await?;
    }
    upgrade::check(&room_id, &event_type, &content)?;
    let timestamp = session.timestamp(request.timestamp);
    if let Some(delay_ms) = delay_ms {
        session.require_no_guest()?;
        let state_key = Some(request.state_key);
        let new = NewDelayed { room_id, event_type, state_key, content, delay_ms, txn: None };
        return Ok(JsonResponse(SentOrWaiting::Waiting { delay_id: delayed::schedule(&api, &session, new).await? }));
    }
    if let Some(event_id) = same(&api, &session, &room_id, (&event_type, &request.state_key), &content).await? {
        return Ok(JsonResponse(SentOrWaiting::Sent { event_id }));
    }
    let replacement = upgrade::replacement(&event_type, &content);
    let event = SendEvent {
        room_id,
        sender: session.user_id.clone(),
        event_type,
        state_key: Some(request.state_key),
        content,
        txn: None,
    };
    let event_id = api.rooms.send_at(event, timestamp).await?;
    if let Some(replacement) = replacement {
        succession::follow_replacement(&api, &session.user_id, &replacement).await;
    }
    Ok(JsonResponse(SentOrWaiting::Sent { event_id }))
}

fn is_own_join(session: &Session, request: &Request, content: &Map<String, Value>) -> bool {
    request.event_type.to_string() == MEMBER
        && request.state_key == session.user_id.as_str()
        && content.get("membership").and_then(Value::as_str) == Some("join")
}

/// Joins as by the endpoint for that, and returns the event by which the user is in the room.
async fn join(api: &Api, session: &Session, room_id: &RoomId, content: Map<String, Value>) -> ApiResult<EventId> {
    join_room(api, session, room_id, &[], sayable(content)).await?;
    let member = api.store.state_event(room_id, MEMBER, session.user_id.as_str()).await?;
    let lost = || MatrixError::unknown("The join is not stored.");
    Ok(member.ok_or_else(lost)?.event_id)
}

/// The event by which the user has said the same already, if that holds: to say it again would change nothing. Who is
/// invited or let in anew is to be told of it, so members are left out.
async fn same(
    api: &Api,
    session: &Session,
    room_id: &RoomId,
    (event_type, state_key): (&str, &str),
    content: &Map<String, Value>,
) -> ApiResult<Option<EventId>> {
    if event_type == MEMBER {
        return Ok(None);
    }
    let known = api.store.state_event(room_id, event_type, state_key).await?;
    let is_same = |known: &StoredEvent| {
        known.redacted_by.is_none()
            && sender(known).is_some_and(|sender| sender == session.user_id.as_str())
            && visibility::content::<Map<String, Value>>(known).is_some_and(|known| known == *content)
    };
    Ok(known.filter(is_same).map(|known| known.event_id))
}
