//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`

use axle_protocol::{MatrixError, RoomId};
use axle_store::ClientTxnKey;
use ruma::api::client::message::send_message_event::v3::Request;
use serde_json::{Map, Value};

use crate::delayed::{self, MayWait, NewDelayed, SentOrWaiting};
use crate::encrypted_sends;
use crate::error::ApiResult;
use crate::event_content;
use crate::guests;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::presence;
use crate::redaction;
use crate::service::SendEvent;
use crate::session::Session;
use crate::state::Api;
use crate::upgrade;
use crate::visibility::Access;

/// The longest transaction id that a client may choose.
const MAX_TXN_ID_BYTES: usize = 255;

pub(crate) async fn send(
    api: Api,
    session: Session,
    request: MayWait<Request>,
) -> ApiResult<JsonResponse<SentOrWaiting>> {
    session.require_active()?;
    let delay_ms = request.delay_ms()?;
    let request = request.request;
    let room_id = ids::room(&request.room_id)?;
    let event_type = request.event_type.to_string();
    event_content::check_key(&event_type, None)?;
    let content = event_content::parse(request.body.json())?;
    let txn = txn(&session, format!("send {room_id} {event_type}"), request.txn_id.as_str())?;
    check(&api, &session, &room_id, &event_type, &content).await?;
    if let Some(delay_ms) = delay_ms {
        session.require_no_guest()?;
        let new = NewDelayed { room_id, event_type, state_key: None, content, delay_ms, txn: Some(txn) };
        return Ok(JsonResponse(SentOrWaiting::Waiting { delay_id: delayed::schedule(&api, &session, new).await? }));
    }
    let timestamp = session.timestamp(request.timestamp);
    let device = encrypted_sends::sender(&session, &event_type);
    let sender = session.user_id;
    let event = SendEvent { room_id, sender, event_type, state_key: None, content, txn: Some(txn) };
    let event_id = api.rooms.send_at(event, timestamp).await?;
    if let Some(device) = device {
        encrypted_sends::sent(&api, device).await;
    }
    Ok(JsonResponse(SentOrWaiting::Sent { event_id }))
}

/// Refuses what this server knows that the user may not send.
pub(super) async fn check(
    api: &Api,
    session: &Session,
    room_id: &RoomId,
    event_type: &str,
    content: &Map<String, Value>,
) -> ApiResult<()> {
    api.limits.changes.take(session.user_id.as_str())?;
    Access::of(api, &session.user_id, room_id).await?.require_joined()?;
    guests::check_send(api, session, room_id).await?;
    upgrade::check(room_id, event_type, content)?;
    redaction::check_sent(api, &session.user_id, room_id, event_type, content).await?;
    presence::did_something(api, &session.user_id);
    Ok(())
}

/// What a repeated request is recognised by.
pub(super) fn txn(session: &Session, scope: String, txn_id: &str) -> Result<ClientTxnKey, MatrixError> {
    if txn_id.len() > MAX_TXN_ID_BYTES {
        return Err(MatrixError::invalid_param(format!("A transaction id has at most {MAX_TXN_ID_BYTES} bytes.")));
    }
    Ok(ClientTxnKey {
        user_id: session.user_id.clone(),
        device_id: session.device_id.clone(),
        scope,
        txn_id: txn_id.to_owned(),
    })
}
