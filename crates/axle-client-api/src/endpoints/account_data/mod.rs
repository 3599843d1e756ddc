//! Account data and tags.

mod global_get;
mod global_put;
mod room_get;
mod room_put;
mod tag_delete;
mod tag_put;
pub(super) mod tags;

use crate::endpoint::Endpoints;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed(global_get::global_get)
        .authed(global_put::global_put)
        .authed(room_get::room_get)
        .authed(room_put::room_put)
        .authed(tags::tags)
        .authed(tag_put::tag_put)
        .authed(tag_delete::tag_delete)
}
