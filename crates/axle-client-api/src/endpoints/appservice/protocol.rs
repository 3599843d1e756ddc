//! `GET /_matrix/client/v3/thirdparty/protocol/{protocol}`

use axle_protocol::MatrixError;
use axum::response::Response;
use http::Method;

use crate::appservice;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

const PATHS: [&str; 2] =
    ["/_matrix/client/r0/thirdparty/protocol/{protocol}", "/_matrix/client/v3/thirdparty/protocol/{protocol}"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::GET, &PATHS, protocol)
}

async fn protocol(api: Api, _: Session, request: RawRequest) -> ApiResult<Response> {
    let known = appservice::protocol(&api, request.path(0).unwrap_or_default()).await;
    let known = known.ok_or_else(|| MatrixError::not_found("No application service knows this protocol."))?;
    Ok(respond(JsonResponse(known)))
}
