//! `GET /_matrix/client/v3/profile/{userId}/displayname`

use ruma::api::client::profile::get_display_name::v3::{Request, Response};

use super::get::read_text;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::state::Api;

pub(crate) async fn displayname_get(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    Ok(Response::new(read_text(&api, caller, request.user_id.as_str(), "displayname").await?))
}
