//! Backups of room keys.

mod keys_delete;
mod keys_get;
mod keys_put;
mod room_delete;
mod room_get;
mod room_put;
mod session_delete;
mod session_get;
mod session_put;
mod stream;
mod version_create;
mod version_current;
mod version_delete;
mod version_get;
mod version_put;

use http::Method;

use crate::endpoint::Endpoints;
use crate::key_backup::MAX_UPLOAD_BYTES;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed(version_create::version_create)
        .authed(version_current::version_current)
        .authed(version_get::version_get)
        .authed(version_put::version_put)
        .authed(version_delete::version_delete)
        .authed_up_to(MAX_UPLOAD_BYTES, keys_put::keys_put)
        .authed_raw(Method::GET, &keys_get::PATHS, keys_get::keys_get)
        .authed(keys_delete::keys_delete)
        .authed_up_to(MAX_UPLOAD_BYTES, room_put::room_put)
        .authed_raw(Method::GET, &room_get::PATHS, room_get::room_get)
        .authed(room_delete::room_delete)
        .authed(session_put::session_put)
        .authed(session_get::session_get)
        .authed(session_delete::session_delete)
}
