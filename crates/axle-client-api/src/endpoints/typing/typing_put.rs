//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`

use std::time::Duration;

use axum::response::Response;
use ruma::api::client::typing::create_typing_event::v3 as ruma_typing;
use serde::Deserialize;

use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::ids;
use crate::presence;
use crate::session::Session;
use crate::state::Api;
use crate::typing;
use crate::visibility::Access;

/// How long somebody types who does not say for how long: the specification leaves it to the server.
const DEFAULT_TIMEOUT_MS: u64 = 30_000;

/// ruma's own type demands a `timeout` of who types.
#[derive(Deserialize)]
struct Typing {
    typing: bool,
    /// In milliseconds.
    timeout: Option<u64>,
}

pub(crate) async fn typing_put(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let room_id = ids::room(request.path(0).unwrap_or_default())?;
    session.require_user(request.path(1).unwrap_or_default())?;
    let said: Typing = request.json().await?;
    api.limits.changes.take(session.user_id.as_str())?;
    Access::of(&api, &session.user_id, &room_id).await?.require_joined()?;
    presence::did_something(&api, &session.user_id);
    let timeout = Duration::from_millis(said.timeout.unwrap_or(DEFAULT_TIMEOUT_MS));
    typing::set(&api, &room_id, &session.user_id, said.typing.then_some(timeout)).await;
    Ok(respond(ruma_typing::Response::new()))
}
