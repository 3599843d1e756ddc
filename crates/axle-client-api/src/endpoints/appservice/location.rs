//! `GET /_matrix/client/v3/thirdparty/location` and `GET /_matrix/client/v3/thirdparty/location/{protocol}`

use axum::response::Response;
use http::Method;

use super::{fields, fields_with};
use crate::appservice;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

const ALL: [&str; 2] = ["/_matrix/client/r0/thirdparty/location", "/_matrix/client/v3/thirdparty/location"];
const OF_PROTOCOL: [&str; 2] =
    ["/_matrix/client/r0/thirdparty/location/{protocol}", "/_matrix/client/v3/thirdparty/location/{protocol}"];
/// Names what is looked for, where no protocol is named.
const KEY: &str = "alias";

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::GET, &ALL, of_any).authed_raw(Method::GET, &OF_PROTOCOL, of_protocol)
}

/// What a room alias here stands for, in all networks.
async fn of_any(api: Api, _: Session, request: RawRequest) -> ApiResult<Response> {
    let fields = fields_with(&request, KEY)?;
    Ok(respond(JsonResponse(appservice::locations(&api, None, fields).await)))
}

/// What has these fields in a network.
async fn of_protocol(api: Api, _: Session, request: RawRequest) -> ApiResult<Response> {
    let fields = fields(&request)?;
    Ok(respond(JsonResponse(appservice::locations(&api, request.path(0), fields).await)))
}
