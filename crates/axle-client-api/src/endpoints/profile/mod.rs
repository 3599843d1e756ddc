//! Profiles.

mod avatar_get;
mod avatar_put;
mod displayname_get;
mod displayname_put;
mod get;

use crate::endpoint::Endpoints;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .open(get::get)
        .open(displayname_get::displayname_get)
        .open(avatar_get::avatar_get)
        .authed(displayname_put::displayname_put)
        .authed(avatar_put::avatar_put)
}
