//! `PUT /_matrix/client/v3/profile/{userId}/avatar_url`

use axle_protocol::MatrixError;
use ruma::api::client::profile::set_avatar_url::v3::{Request, Response};

use crate::error::ApiResult;
use crate::profile;
use crate::session::Session;
use crate::state::Api;

/// The longest avatar address.
const MAX_AVATAR_URL_BYTES: usize = 1000;

pub(crate) async fn avatar_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let url = request.avatar_url.map(|url| url.to_string()).filter(|url| !url.is_empty());
    // What clients cannot show they leave out; other servers tell of all kinds of addresses, too.
    if url.as_ref().is_some_and(|url| url.len() > MAX_AVATAR_URL_BYTES || url.contains(char::is_control)) {
        let error = format!("The address of an avatar is text of at most {MAX_AVATAR_URL_BYTES} bytes.");
        return Err(MatrixError::invalid_param(error).into());
    }
    profile::change(&api, &session, request.user_id.as_str(), |profile| profile.avatar_url = url).await?;
    Ok(Response::new())
}
