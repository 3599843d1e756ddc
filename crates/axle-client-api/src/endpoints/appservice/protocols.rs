//! `GET /_matrix/client/v3/thirdparty/protocols`

use axum::response::Response;
use http::Method;

use crate::appservice;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

const PATHS: [&str; 2] = ["/_matrix/client/r0/thirdparty/protocols", "/_matrix/client/v3/thirdparty/protocols"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::GET, &PATHS, protocols)
}

async fn protocols(api: Api, _: Session, _: RawRequest) -> ApiResult<Response> {
    Ok(respond(JsonResponse(appservice::protocols(&api).await)))
}
