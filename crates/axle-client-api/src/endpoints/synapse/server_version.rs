//! `GET /_synapse/admin/v1/server_version`

use axum::response::Response;
use http::Method;
use serde_json::json;

use crate::endpoint::{Caller, Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::limiter::address_key;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/server_version"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.open_raw(Method::GET, &PATHS, server_version)
}

/// Tools ask before anybody has logged in.
async fn server_version(api: Api, caller: Caller, _: RawRequest) -> ApiResult<Response> {
    api.limits.lookups.take(&address_key(caller.address))?;
    let version = format!("Axle {}", env!("CARGO_PKG_VERSION"));
    Ok(respond(JsonResponse(json!({ "server_version": version }))))
}
