//! `POST /reports/:roomId`

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Federation;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Signed;
use crate::endpoints::params::{Params, room_id};

#[derive(Deserialize)]
pub(super) struct Body {
    report: Map<String, Value>,
}

#[derive(Serialize)]
struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_back_to: Option<u64>,
}

pub(super) async fn reports(
    State(federation): State<Arc<Federation>>,
    Params(room): Params<String>,
    Signed { origin, body }: Signed<Body>,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let rolled_back_to = federation.groups()?.report(&origin, &room_id(&room)?, body.report).await?;
    Answer::json(&Response { rolled_back_to })
}
