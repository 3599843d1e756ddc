//! `GET /_matrix/client/v1/register/m.login.registration_token/validity`

use axle_protocol::MatrixError;
use ruma::api::client::account::check_registration_token_validity::v1::{Request, Response};

use crate::config::Registration;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::limiter::address_key;
use crate::state::{Api, now_ms};

/// Who asks guesses tokens, perhaps: asking is limited as registering is, whatever the answer.
pub(crate) async fn registration_token(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    if api.config.registration != Registration::Token {
        return Err(MatrixError::forbidden("Nobody registers with a token on this server.").into());
    }
    api.limits.registrations.take(&address_key(caller.address))?;
    Ok(Response::new(is_valid(&api, &request.token).await?))
}

/// Whether somebody can register with a token now.
pub(in crate::endpoints) async fn is_valid(api: &Api, token: &str) -> ApiResult<bool> {
    let (tokens, now) = (api.store.registration_tokens().await?, now_ms());
    Ok(tokens.iter().any(|known| known.token == token && known.is_valid(now)))
}
