//! `POST /_matrix/client/v3/refresh`

use axle_protocol::MatrixError;
use ruma::api::client::session::refresh_token::v3::{Request, Response};

use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::limiter::address_key;
use crate::session::{NewTokens, token_hash};
use crate::state::Api;

pub(crate) async fn refresh(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    api.limits.lookups.take(&address_key(caller.address))?;
    let new = NewTokens::random(&api, true)?;
    if !api.store.refresh_tokens(&token_hash(&request.refresh_token), new.kept()).await? {
        return Err(MatrixError::unknown_token("The refresh token is not valid.").into());
    }
    let mut response = Response::new(new.access_token);
    (response.refresh_token, response.expires_in_ms) = (new.refresh_token, new.expires_in);
    Ok(response)
}
