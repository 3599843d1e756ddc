//! `GET /.well-known/matrix/server`, if this server is configured to delegate.

use std::sync::Arc;

use axle_protocol::MatrixError;
use axum::extract::State;
use serde_json::json;

use super::Federation;
use super::answer::{Answer, Failure};

pub(super) async fn well_known(State(federation): State<Arc<Federation>>) -> Result<Answer, Failure> {
    match &federation.config.well_known {
        Some(delegated) => Answer::json(&json!({ "m.server": delegated })),
        None => Err(MatrixError::unrecognized("This server delegates to no other name.").into()),
    }
}
