//! `POST /_matrix/client/v3/user/{userId}/openid/request_token`

use axle_protocol::MatrixError;
use ruma::OwnedServerName;
use ruma::api::client::account::request_openid_token::v3::{Request, Response};
use ruma::authentication::TokenType;

use crate::error::ApiResult;
use crate::openid::LIFETIME;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn openid_token(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_user(request.user_id.as_str())?;
    api.limits.changes.take(session.user_id.as_str())?;
    let token = api.openid.make(&session.user_id)?;
    let server = OwnedServerName::try_from(api.config.server_name.as_str())
        .map_err(|_| MatrixError::unknown("The server has a name that clients cannot be told."))?;
    Ok(Response::new(token, TokenType::Bearer, server, LIFETIME))
}
