//! `GET /_matrix/client/unstable/org.matrix.msc2965/auth_issuer`: where clients from before 2025 begin.

use axum::response::Response;
use serde::Serialize;

use crate::endpoint::{Caller, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::oauth;
use crate::state::Api;

#[derive(Serialize)]
struct Issuer {
    issuer: String,
}

pub(super) async fn issuer(api: Api, _: Caller, _: RawRequest) -> ApiResult<Response> {
    Ok(respond(JsonResponse(Issuer { issuer: oauth::issuer(&api)? })))
}
