//! A user's devices.

mod delete;
mod delete_many;
mod get;
mod list;
mod put;

use crate::endpoint::Endpoints;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed_or_guest(list::list)
        .authed_or_guest(get::get)
        .authed_or_guest(put::put)
        .authed(delete::delete)
        .authed(delete_many::delete_many)
}
