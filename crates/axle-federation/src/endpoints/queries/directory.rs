//! `GET /_matrix/federation/v1/query/directory`.

use std::sync::Arc;

use axum::extract::State;
use serde_json::json;

use crate::endpoints::Federation;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Origin;
use crate::endpoints::params::Search;

pub(super) async fn directory(
    State(federation): State<Arc<Federation>>,
    search: Search,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let resolved = federation.queries()?.alias(search.required("room_alias")?).await?;
    Answer::json(&json!({"room_id": resolved.room_id, "servers": resolved.servers}))
}
