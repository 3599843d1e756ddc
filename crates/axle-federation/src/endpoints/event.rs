//! `GET /event/:eventId`.

use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;

use super::Federation;
use super::answer::{Answer, Failure};
use super::authenticate::Origin;
use super::params::{Params, event_id};

pub(super) async fn event(
    State(federation): State<Arc<Federation>>,
    Params(id): Params<String>,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let event = federation.service.event(&origin, &event_id(&id)?).await?;
    Ok(Answer::ok(Bytes::copy_from_slice(event.as_bytes())))
}
