//! Pages on which people go through a stage of registration that their client does not know.

mod page;
mod web_get;
mod web_post;

use axle_protocol::MatrixError;
use http::Method;
use ruma::api::client::uiaa::AuthType;

use super::account::register::stage;
use crate::endpoint::{Endpoints, RawRequest};
use crate::error::ApiResult;
use crate::fallback::MAX_SESSION_BYTES;
use crate::oauth::Parameters;
use crate::state::Api;

const PATHS: [&str; 2] =
    ["/_matrix/client/r0/auth/{auth_type}/fallback/web", "/_matrix/client/v3/auth/{auth_type}/fallback/web"];

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.open_raw(Method::GET, &PATHS, web_get::web_get).open_raw(Method::POST, &PATHS, web_post::web_post)
}

/// The stage that a page is for, and the session of which it is one. 404 `M_NOT_FOUND`: nobody has to go through it here.
fn asked(api: &Api, request: &RawRequest) -> ApiResult<(AuthType, String)> {
    let stage = stage(api.config.registration)?;
    if request.path(0) != Some(stage.as_ref()) {
        return Err(MatrixError::not_found("This is not a stage of registration here.").into());
    }
    let parameters = Parameters::of_query(request)?;
    let session = parameters.get("session").ok_or_else(|| MatrixError::missing_param("There is no session."))?;
    if session.len() > MAX_SESSION_BYTES {
        return Err(MatrixError::invalid_param("There is no such session.").into());
    }
    Ok((stage, session.to_owned()))
}
