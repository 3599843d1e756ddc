//! Profiles, and the user directory.

mod avatar_get;
mod avatar_put;
mod displayname_get;
mod displayname_put;
mod field_delete;
mod field_get;
mod field_put;
mod get;
mod user_directory_search;

use crate::endpoint::{Endpoints, RawRequest};

/// Where a further field of a profile is.
const FIELD: [&str; 1] = ["/_matrix/client/v3/profile/{user_id}/{field}"];

/// Whose profile a request is about, and which field of it.
fn place(request: &RawRequest) -> (String, String) {
    let part = |index| request.path(index).unwrap_or_default().to_owned();
    (part(0), part(1))
}

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    let endpoints = endpoints
        .open(get::get)
        .open(displayname_get::displayname_get)
        .open(avatar_get::avatar_get)
        .authed_or_guest(displayname_put::displayname_put)
        .authed(avatar_put::avatar_put)
        .authed(user_directory_search::user_directory_search);
    field_delete::routes(field_put::routes(field_get::routes(endpoints)))
}
