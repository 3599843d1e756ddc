//! `POST /user/keys/claim`

use std::collections::BTreeMap;
use std::sync::Arc;

use axle_protocol::MatrixError;
use axum::extract::State;
use serde::Deserialize;

use super::Federation;
use crate::WantedKeys;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Signed;

/// Keys that one request may claim.
const MAX_KEYS: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct Body {
    one_time_keys: WantedKeys,
}

pub(super) async fn claim_keys(
    State(federation): State<Arc<Federation>>,
    Signed { origin, body }: Signed<Body>,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    if body.one_time_keys.values().map(BTreeMap::len).sum::<usize>() > MAX_KEYS {
        return Err(MatrixError::invalid_param(format!("At most {MAX_KEYS} keys can be claimed at once.")).into());
    }
    Answer::json(&federation.users()?.claim_keys(body.one_time_keys).await?)
}
