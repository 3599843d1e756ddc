//! `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`

use axle_protocol::{EventId, RoomId, UserId};
use axle_store::ClientTxnKey;
use ruma::api::client::redact::redact_event::v3::{Request, Response};
use serde_json::Map;

use crate::endpoints::send::txn;
use crate::error::ApiResult;
use crate::event_content::add_reason;
use crate::ids;
use crate::redaction;
use crate::render;
use crate::service::SendEvent;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

pub(crate) async fn redact(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    let event_id = ids::event(&request.event_id)?;
    let txn = txn(&session, format!("redact {room_id} {event_id}"), request.txn_id.as_str())?;
    let redaction = send_redaction(&api, session, room_id, event_id, request.reason, Some(txn)).await?;
    Ok(Response::new(ids::ruma_event(&redaction)?))
}

/// Redacts an event, if the user may; the id of the redaction.
pub(super) async fn send_redaction(
    api: &Api,
    session: Session,
    room_id: RoomId,
    event_id: EventId,
    reason: Option<String>,
    txn: Option<ClientTxnKey>,
) -> ApiResult<EventId> {
    api.limits.changes.take(session.user_id.as_str())?;
    // Who is suspended may take back what they said themselves.
    if session.is_suspended() && !is_own(api, &session, &event_id).await? {
        session.require_active()?;
    }
    redact_as(api, &session.user_id, room_id, event_id, reason, txn).await
}

/// The same in the name of a user of this server, for who may do it.
pub(super) async fn redact_as(
    api: &Api,
    user_id: &UserId,
    room_id: RoomId,
    event_id: EventId,
    reason: Option<String>,
    txn: Option<ClientTxnKey>,
) -> ApiResult<EventId> {
    Access::of(api, user_id, &room_id).await?.require_joined()?;
    redaction::check(api, user_id, &room_id, &event_id).await?;
    let mut content = Map::from_iter([("redacts".to_owned(), event_id.as_str().into())]);
    add_reason(&mut content, reason);
    let event = SendEvent {
        room_id,
        sender: user_id.clone(),
        event_type: redaction::REDACTION.into(),
        state_key: None,
        content,
        txn,
    };
    Ok(api.rooms.send(event).await?)
}

async fn is_own(api: &Api, session: &Session, event_id: &EventId) -> ApiResult<bool> {
    let event = api.store.event(event_id).await?;
    Ok(event.as_ref().and_then(render::sender).is_some_and(|sender| sender == session.user_id.as_str()))
}
