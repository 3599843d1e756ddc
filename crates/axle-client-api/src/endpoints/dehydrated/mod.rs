//! Dehydrated devices (Matrix's proposal 3814, on the paths of its first version).

mod delete;
mod events;
mod get;
mod put;

use axle_protocol::MatrixError;
use http::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::endpoint::Endpoints;
use crate::error::ApiResult;

/// Where it is.
const PATHS: [&str; 1] = ["/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"];
/// Where its messages are.
const EVENTS_PATHS: [&str; 1] = ["/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{device_id}/events"];

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed_raw(Method::PUT, &PATHS, put::put)
        .authed_raw(Method::GET, &PATHS, get::get)
        .authed_raw(Method::DELETE, &PATHS, delete::delete)
        .authed_raw(Method::POST, &EVENTS_PATHS, events::events)
}

/// The device that a request was about.
#[derive(Serialize)]
struct About {
    device_id: String,
}

/// What a client is told that has none.
fn no_device() -> MatrixError {
    MatrixError::not_found("You have no dehydrated device.")
}

/// JSON as it was kept.
fn raw(json: String) -> ApiResult<Box<RawValue>> {
    RawValue::from_string(json).map_err(|error| {
        tracing::error!(%error, "a dehydrated device, or a message for it, cannot be read");
        MatrixError::unknown("The server has a dehydrated device that it cannot read.").into()
    })
}
