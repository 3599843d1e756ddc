//! `POST /invite/:txnId`, and Matrix's `PUT /v2/invite/:roomId/:eventId`.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Federation;
use super::answer::{Answer, Failure};
use super::authenticate::Signed;
use super::params::{Params, txn_id};
use crate::InviteRequest;

/// The body, as far as its envelope.
#[derive(Deserialize)]
pub(super) struct Body {
    event: Box<RawValue>,
    #[serde(default)]
    invite_room_state: Vec<Value>,
    room_version: String,
}

pub(super) async fn invite(
    State(federation): State<Arc<Federation>>,
    Params(id): Params<String>,
    signed: Signed<Body>,
) -> Result<Answer, Failure> {
    take(&federation, txn_id(&id)?, signed).await
}

/// The same with the event's id for a transaction id.
pub(super) async fn invite_by_event(
    State(federation): State<Arc<Federation>>,
    Params((_, event)): Params<(String, String)>,
    signed: Signed<Body>,
) -> Result<Answer, Failure> {
    take(&federation, txn_id(&event)?, signed).await
}

async fn take(federation: &Arc<Federation>, txn_id: &str, signed: Signed<Body>) -> Result<Answer, Failure> {
    let Signed { origin, body } = signed;
    federation.limit(&origin)?;
    let (service, sender) = (federation.service.clone(), origin.clone());
    let work = async move {
        let Body { event, invite_room_state, room_version } = body;
        let event = service.invite(&sender, InviteRequest { event, invite_room_state, room_version }).await?;
        // The draft says `pdu`, the reference server expects `event`.
        Ok(Answer::ok(format!("{{\"event\":{event},\"pdu\":{event}}}")))
    };
    federation.inbound.once(&origin, "invite", txn_id, work).await
}
