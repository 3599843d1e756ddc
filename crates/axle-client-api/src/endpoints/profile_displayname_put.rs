//! `PUT /_matrix/client/v3/profile/{userId}/displayname`

use axle_protocol::MatrixError;
use ruma::api::client::profile::set_display_name::v3::{Request, Response};

use crate::error::ApiResult;
use crate::profile;
use crate::session::Session;
use crate::state::Api;

/// The longest display name.
const MAX_DISPLAYNAME_BYTES: usize = 256;

pub(crate) async fn profile_displayname_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let name = request.displayname.filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.len() > MAX_DISPLAYNAME_BYTES) {
        let error = format!("A display name has at most {MAX_DISPLAYNAME_BYTES} bytes.");
        return Err(MatrixError::invalid_param(error).into());
    }
    profile::change(&api, &session, request.user_id.as_str(), |profile| profile.displayname = name).await?;
    Ok(Response::new())
}
