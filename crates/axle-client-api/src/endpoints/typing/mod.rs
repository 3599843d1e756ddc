//! Who is typing.

mod typing_put;

use http::Method;

use crate::endpoint::Endpoints;

const PATHS: [&str; 2] =
    ["/_matrix/client/r0/rooms/{room_id}/typing/{user_id}", "/_matrix/client/v3/rooms/{room_id}/typing/{user_id}"];

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::PUT, &PATHS, typing_put::typing_put)
}
