//! `GET /oauth2/keys.json`: what ID tokens are checked with (RFC 7517, 5).

use axum::response::Response;
use serde::Serialize;

use crate::endpoint::{Caller, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::oauth::{self, PublicKey, SigningKey};
use crate::state::Api;

#[derive(Serialize)]
struct Keys {
    keys: [PublicKey; 1],
}

pub(super) async fn keys(api: Api, _: Caller, _: RawRequest) -> ApiResult<Response> {
    oauth::url(&api, "")?;
    let key = SigningKey::of(&api).await?.public().clone();
    Ok(respond(JsonResponse(Keys { keys: [key] })))
}
