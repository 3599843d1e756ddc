//! Tokens, for what a user has allowed.

use axle_store::OAuthGrant;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Serialize;

use super::{Occasion, SigningKey, find_client, id_token, issuer, wants_id_token};
use crate::endpoint::Caller;
use crate::error::{ApiError, ApiResult};
use crate::session::{self, Login, NewTokens};
use crate::state::Api;

/// What a client gets (RFC 6749, 5.1; OpenID Connect Core 1.0, 3.1.3.3).
#[derive(Serialize)]
pub(crate) struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

impl TokenResponse {
    pub(crate) fn new(tokens: NewTokens, scope: Option<String>) -> Self {
        Self {
            access_token: tokens.access_token,
            token_type: "Bearer",
            expires_in: tokens.expires_in.map(|lifetime| lifetime.as_secs()),
            refresh_token: tokens.refresh_token,
            scope,
            id_token: None,
        }
    }

    /// As it is answered: nobody keeps it on the way.
    pub(crate) fn respond(self) -> Response {
        (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")], axum::Json(self)).into_response()
    }
}

/// Logs the device in that a user has allowed.
pub(crate) async fn issue(
    api: &Api,
    caller: Caller,
    grant: OAuthGrant,
    occasion: Occasion,
) -> ApiResult<TokenResponse> {
    let OAuthGrant { user_id, client_id, device_id, scope } = grant;
    let name = find_client(api, &client_id).await?.name().to_owned();
    // Before the device is there: what fails leaves none behind, and once it is there, it is known whose it is.
    let key = if wants_id_token(&scope) { Some(SigningKey::of(api).await?) } else { None };
    api.store.put_oauth_session(&user_id, &device_id, &client_id).await?;
    let login = Login { device_id: Some(device_id.into()), name: Some(name), refresh: true, address: caller.address };
    // Meanwhile the account may have ended.
    let new = session::start(api, &user_id, login).await.map_err(|error| match error {
        ApiError::Matrix(error) if error.status < 500 => {
            ApiError::OAuth(StatusCode::BAD_REQUEST, "invalid_grant", error.error)
        }
        other => other,
    })?;
    let whose = (&user_id, client_id.as_str());
    let id_token = match key {
        Some(key) => Some(id_token::make(key, issuer(api)?, whose, &occasion, &new.tokens.access_token)?),
        None => None,
    };
    Ok(TokenResponse { id_token, ..TokenResponse::new(new.tokens, Some(scope)) })
}
