//! `POST /_matrix/client/unstable/im.axle.mls.v1/rooms/{roomId}/proposals`

use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

#[derive(Deserialize)]
struct Request {
    message: String,
}

pub(crate) async fn proposals(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    session.require_active()?;
    let room_id = super::room_id(&request)?;
    let Request { message } = request.json().await?;
    let message = super::message(&message)?;
    api.limits.changes.take(session.user_id.as_str())?;
    Access::of(&api, &session.user_id, &room_id).await?.require_joined()?;
    api.groups.propose(&session.user_id, &room_id, message).await?;
    Ok(respond(JsonResponse(Map::<String, Value>::new())))
}
