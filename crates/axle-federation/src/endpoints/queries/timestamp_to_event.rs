//! `GET /_matrix/federation/v1/timestamp_to_event/:roomId`.

use std::sync::Arc;

use axle_protocol::MatrixError;
use axum::extract::State;
use serde_json::json;

use crate::endpoints::Federation;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Origin;
use crate::endpoints::params::{Params, Search, room_id};

pub(super) async fn timestamp_to_event(
    State(federation): State<Arc<Federation>>,
    Params(room): Params<String>,
    search: Search,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let ts: i64 = search.integer("ts")?.ok_or_else(|| MatrixError::missing_param("ts is missing"))?;
    let backward = match search.required("dir")? {
        "b" => true,
        "f" => false,
        _ => return Err(MatrixError::invalid_param("dir is \"f\" or \"b\"").into()),
    };
    let found = federation.queries()?.timestamp_to_event(&origin, &room_id(&room)?, ts, backward).await?;
    Answer::json(&json!({"event_id": found.0, "origin_server_ts": found.1}))
}
