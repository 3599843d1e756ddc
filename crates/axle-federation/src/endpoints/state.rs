//! `GET /state/:roomId`.

use std::sync::Arc;

use axum::extract::State;

use super::Federation;
use super::answer::{Answer, Failure, object_of_arrays};
use super::authenticate::Origin;
use super::params::{Params, Search, event_id, room_id};

pub(super) async fn state(
    State(federation): State<Arc<Federation>>,
    Params(room): Params<String>,
    search: Search,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let at = event_id(search.required("event_id")?)?;
    let state = federation.service.state(&origin, &room_id(&room)?, &at).await?;
    Ok(Answer::ok(object_of_arrays(&[("auth_chain", &state.auth_chain), ("pdus", &state.pdus)])))
}
