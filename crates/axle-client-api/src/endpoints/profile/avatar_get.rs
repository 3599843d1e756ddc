//! `GET /_matrix/client/v3/profile/{userId}/avatar_url`

use ruma::api::client::profile::get_avatar_url::v3::{Request, Response};

use super::get::read_text;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::state::Api;

pub(crate) async fn avatar_get(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    let url = read_text(&api, caller, request.user_id.as_str(), "avatar_url").await?;
    Ok(Response::new(url.map(Into::into)))
}
