//! `GET /_matrix/client/v3/register/available`

use ruma::api::client::account::get_username_availability::v3::{Request, Response};

use super::register::check_free;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::limiter::address_key;
use crate::state::Api;

pub(crate) async fn register_available(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    api.limits.lookups.take(&address_key(caller.address))?;
    check_free(&api, &request.username).await?;
    Ok(Response::new(true))
}
