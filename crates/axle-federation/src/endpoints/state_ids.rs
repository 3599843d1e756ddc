//! `GET /state_ids/:roomId`.

use std::sync::Arc;

use axle_protocol::EventId;
use axum::extract::State;
use serde::Serialize;

use super::Federation;
use super::answer::{Answer, Failure};
use super::authenticate::Origin;
use super::params::{Params, Search, event_id, room_id};

#[derive(Serialize)]
struct Response {
    auth_chain_ids: Vec<EventId>,
    pdu_ids: Vec<EventId>,
}

pub(super) async fn state_ids(
    State(federation): State<Arc<Federation>>,
    Params(room): Params<String>,
    search: Search,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let at = event_id(search.required("event_id")?)?;
    let ids = federation.service.state_ids(&origin, &room_id(&room)?, &at).await?;
    Answer::json(&Response { auth_chain_ids: ids.auth_chain_ids, pdu_ids: ids.pdu_ids })
}
