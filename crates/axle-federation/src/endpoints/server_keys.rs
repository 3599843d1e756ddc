//! `GET /_matrix/key/v2/server`.

use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;

use super::Federation;
use super::answer::Answer;

pub(super) async fn server_keys(State(federation): State<Arc<Federation>>) -> Answer {
    Answer::ok(Bytes::copy_from_slice(federation.keys.own_response().as_bytes()))
}
