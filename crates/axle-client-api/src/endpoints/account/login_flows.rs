//! `GET /_matrix/client/v3/login`

use ruma::api::client::session::get_login_types::v3::{LoginType, PasswordLoginType, Request, Response};

use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::state::Api;

pub(crate) async fn login_flows(_: Api, _: Caller, _: Request) -> ApiResult<Response> {
    Ok(Response::new(vec![LoginType::Password(PasswordLoginType::new())]))
}
