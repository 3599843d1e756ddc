//! How far a user has read.

mod read_markers;
mod receipt;

use crate::endpoint::Endpoints;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed(receipt::receipt).authed(read_markers::read_markers)
}
