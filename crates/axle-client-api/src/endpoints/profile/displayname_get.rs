//! `GET /_matrix/client/v3/profile/{userId}/displayname`

use ruma::api::client::profile::get_display_name::v3::{Request, Response};

use super::get::local_profile;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::state::Api;

pub(crate) async fn displayname_get(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    let profile = local_profile(&api, caller, request.user_id.as_str()).await?;
    Ok(Response::new(profile.displayname))
}
