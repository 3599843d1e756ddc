//! `GET /_matrix/client/v1/register/m.login.registration_token/validity`

use axle_protocol::MatrixError;
use ruma::api::client::account::check_registration_token_validity::v1::{Request, Response};

use crate::config::Registration;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::limiter::address_key;
use crate::state::Api;

/// Who asks guesses tokens, perhaps: asking is limited as registering is, whatever the answer.
pub(crate) async fn registration_token(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    if api.config.registration != Registration::Token {
        return Err(MatrixError::forbidden("Nobody registers with a token on this server.").into());
    }
    api.limits.registrations.take(&address_key(caller.address))?;
    let tokens = api.store.registration_tokens().await?;
    let valid = |uses_left: Option<u32>| uses_left.is_none_or(|uses| uses > 0);
    Ok(Response::new(tokens.iter().any(|token| token.token == request.token && valid(token.uses_left))))
}
