//! `POST /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}/{action}`, and the same with the action in
//! the body, as it was before.

use axle_protocol::MatrixError;
use axle_store::DelayedOutcome;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::not_waiting;
use crate::delayed;
use crate::endpoint::{Caller, RawRequest};
use crate::error::ApiResult;
use crate::limiter::address_key;
use crate::state::{Api, now_ms};

#[derive(Deserialize)]
struct Request {
    action: String,
}

pub(super) async fn action_in_body(api: Api, caller: Caller, request: RawRequest) -> ApiResult<Response> {
    let delay_id = request.path(0).unwrap_or_default().to_owned();
    let Request { action } = request.json().await?;
    act(&api, caller, &delay_id, &action).await
}

pub(super) async fn action_in_path(api: Api, caller: Caller, request: RawRequest) -> ApiResult<Response> {
    let delay_id = request.path(0).unwrap_or_default();
    act(&api, caller, delay_id, request.path(1).unwrap_or_default()).await
}

/// Whoever knows the id may do it: a client that calls may leave that to others, without giving its token away.
async fn act(api: &Api, caller: Caller, delay_id: &str, action: &str) -> ApiResult<Response> {
    api.limits.lookups.take(&address_key(caller.address))?;
    let event = api.store.delayed_event(delay_id).await?.ok_or_else(not_waiting)?;
    let done = match action {
        "cancel" => api.store.finish_delayed_event(delay_id, DelayedOutcome::Cancelled, now_ms()).await?,
        "restart" => api.store.restart_delayed_event(delay_id, now_ms()).await?,
        "send" => {
            delayed::send_now(api, &event).await?;
            true
        }
        _ => return Err(MatrixError::invalid_param("An action is cancel, restart or send.").into()),
    };
    if !done {
        return Err(not_waiting().into());
    }
    Ok(axum::Json(serde_json::Map::new()).into_response())
}
