//! `GET /group/:roomId`

use std::sync::Arc;

use axum::extract::State;

use super::Federation;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Origin;
use crate::endpoints::params::{Params, Search, event_id, room_id};

pub(super) async fn group(
    State(federation): State<Arc<Federation>>,
    Params(room): Params<String>,
    search: Search,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let commit = search.first("commit").map(event_id).transpose()?;
    Answer::json(&federation.groups()?.group(&origin, &room_id(&room)?, commit).await?)
}
