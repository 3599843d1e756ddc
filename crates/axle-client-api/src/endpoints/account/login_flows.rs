//! `GET /_matrix/client/v3/login`

use ruma::api::client::session::get_login_types::v3::{
    ApplicationServiceLoginType, LoginType, PasswordLoginType, Request, Response, TokenLoginType,
};

use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::state::Api;

pub(crate) async fn login_flows(api: Api, _: Caller, _: Request) -> ApiResult<Response> {
    let mut token = TokenLoginType::new();
    token.get_login_token = true;
    let mut flows = vec![LoginType::Password(PasswordLoginType::new()), LoginType::Token(token)];
    if api.config.services.iter().next().is_some() {
        flows.push(LoginType::ApplicationService(ApplicationServiceLoginType::new()));
    }
    Ok(Response::new(flows))
}
