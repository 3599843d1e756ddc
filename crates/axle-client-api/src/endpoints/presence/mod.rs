//! Who is there.

mod presence_get;
mod presence_put;

use crate::endpoint::Endpoints;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed(presence_get::presence_get).authed(presence_put::presence_put)
}
