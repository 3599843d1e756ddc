//! `POST /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{deviceId}/events`

use axle_protocol::MatrixError;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::raw;
use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;
use crate::token::{BEFORE_EVERYTHING, Token};

/// Messages in one answer.
const MAX_MESSAGES: usize = 100;

#[derive(Deserialize)]
struct Request {
    next_batch: Option<String>,
}

#[derive(Serialize)]
struct Messages {
    events: Vec<Box<RawValue>>,
    next_batch: String,
}

/// The messages stay until the device goes: a client that is interrupted begins anew.
pub(crate) async fn events(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let device_id = request.path(0).unwrap_or_default().to_owned();
    let Request { next_batch } = request.json().await?;
    let device = api.store.dehydrated_device(&session.user_id).await?;
    if device.is_none_or(|device| device.device_id != device_id) {
        return Err(MatrixError::forbidden("This is not your dehydrated device.").into());
    }
    let after = next_batch.as_deref().map(Token::parse_stream).transpose()?.unwrap_or(BEFORE_EVERYTHING);
    let until = api.store.max_stream().await?;
    let found = api.store.to_device(&session.user_id, &device_id, after, until, MAX_MESSAGES).await?;
    let next = found.last().map_or(after, |last| last.stream);
    let events = found.into_iter().map(|message| raw(message.json)).collect::<ApiResult<_>>()?;
    Ok(respond(JsonResponse(Messages { events, next_batch: Token::Stream(next).to_string() })))
}
