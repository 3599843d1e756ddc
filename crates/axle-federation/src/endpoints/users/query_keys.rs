//! `POST /user/keys/query`

use std::collections::BTreeMap;
use std::sync::Arc;

use axle_protocol::MatrixError;
use axum::extract::State;
use serde::Deserialize;

use super::Federation;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Signed;

/// Users that one request may ask about.
const MAX_USERS: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct Body {
    device_keys: BTreeMap<String, Vec<String>>,
}

pub(super) async fn query_keys(
    State(federation): State<Arc<Federation>>,
    Signed { origin, body }: Signed<Body>,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    if body.device_keys.len() > MAX_USERS {
        let error = format!("At most {MAX_USERS} users can be asked about at once.");
        return Err(MatrixError::invalid_param(error).into());
    }
    Answer::json(&federation.users()?.query_keys(body.device_keys).await?)
}
