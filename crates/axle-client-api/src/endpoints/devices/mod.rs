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
        .authed(list::list)
        .authed(get::get)
        .authed(put::put)
        .authed(delete::delete)
        .authed(delete_many::delete_many)
}
