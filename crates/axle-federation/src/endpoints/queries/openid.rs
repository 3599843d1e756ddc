//! `GET /_matrix/federation/v1/openid/userinfo`: the token is the proof, so the request is not signed. Widgets and
//! identity servers ask, which are no homeservers.

use std::sync::Arc;

use axle_protocol::MatrixError;
use axum::extract::State;
use serde_json::json;

use crate::endpoints::Federation;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::params::Search;

pub(super) async fn userinfo(State(federation): State<Arc<Federation>>, search: Search) -> Result<Answer, Failure> {
    let token = search.first("access_token").ok_or_else(|| MatrixError::missing_token("access_token is missing"))?;
    Answer::json(&json!({"sub": federation.queries()?.openid_user(token).await?}))
}
