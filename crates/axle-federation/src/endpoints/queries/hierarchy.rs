//! `GET /_matrix/federation/v1/hierarchy/:roomId`.

use std::sync::Arc;

use axum::extract::State;

use crate::endpoints::Federation;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Origin;
use crate::endpoints::params::{Params, Search, room_id};

pub(super) async fn hierarchy(
    State(federation): State<Arc<Federation>>,
    Params(room): Params<String>,
    search: Search,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let suggested_only = search.first("suggested_only") == Some("true");
    Answer::json(&federation.queries()?.hierarchy(&origin, &room_id(&room)?, suggested_only).await?)
}
