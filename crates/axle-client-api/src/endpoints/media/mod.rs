//! Media: uploads, downloads, thumbnails and previews of URLs.

mod config;
mod create;
mod download;
mod preview_url;
mod thumbnail;
mod upload;
mod upload_to;

use http::Method;

use crate::endpoint::Endpoints;

/// The routes of media.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed_at(&config::PATHS, config::config)
        .authed(create::create)
        .authed_at(&preview_url::PATHS, preview_url::preview_url)
        .authed_raw(Method::POST, &upload::PATHS, upload::upload)
        .authed_raw(Method::PUT, &upload_to::PATHS, upload_to::upload_to)
        .authed_or_guest_raw(Method::GET, &download::AUTHENTICATED_PATHS, download::authenticated)
        .optional_raw(Method::GET, &download::OPEN_PATHS, download::open)
        .authed_or_guest_raw(Method::GET, &thumbnail::AUTHENTICATED_PATHS, thumbnail::authenticated)
        .optional_raw(Method::GET, &thumbnail::OPEN_PATHS, thumbnail::open)
}
