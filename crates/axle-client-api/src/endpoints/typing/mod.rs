//! Who is typing.

mod typing_put;

use crate::endpoint::Endpoints;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed(typing_put::typing_put)
}
