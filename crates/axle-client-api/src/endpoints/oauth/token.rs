//! `POST /oauth2/token`: clients fetch what their users have allowed them (RFC 6749, 3.2).

use axle_store::{OAuthCode, PolledAuthorization, TakenCode};
use axum::response::Response;
use http::StatusCode;
use sha2::{Digest, Sha256};

use super::limit;
use crate::endpoint::{Caller, RawRequest};
use crate::error::{ApiError, ApiResult};
use crate::oauth::{self, CODE_LIFETIME, DEVICE_CODE_GRANT, Occasion, Parameters, TokenResponse, millis, same};
use crate::session::{NewTokens, token_hash};
use crate::state::{Api, now_ms};
use crate::sync::extensions::e2ee;

pub(super) async fn token(api: Api, caller: Caller, request: RawRequest) -> ApiResult<Response> {
    oauth::url(&api, "")?;
    limit(&api, caller)?;
    let form = Parameters::of_form(request).await?;
    let tokens = match form.require("grant_type")? {
        "authorization_code" => by_code(&api, caller, &form).await?,
        "refresh_token" => by_refresh_token(&api, &form).await?,
        DEVICE_CODE_GRANT => by_device_code(&api, caller, &form).await?,
        _ => return Err(refused("unsupported_grant_type", "This grant is not offered.")),
    };
    Ok(tokens.respond())
}

/// A code that the client got by a redirect (RFC 6749, 4.1.3; RFC 7636, 4.6).
async fn by_code(api: &Api, caller: Caller, form: &Parameters) -> ApiResult<TokenResponse> {
    let (client_id, code) = (form.require("client_id")?, form.require("code")?);
    let (redirect_uri, verifier) = (form.require("redirect_uri")?, form.require("code_verifier")?);
    let is_proved = |code: &OAuthCode| {
        let challenge = axle_protocol::base64::encode_url(Sha256::digest(verifier.as_bytes()));
        let is_client = same(client_id, &code.grant.client_id) && same(redirect_uri, &code.redirect_uri);
        is_client && same(&challenge, &code.challenge)
    };
    match api.store.take_oauth_code(&token_hash(code), now_ms()).await? {
        TakenCode::Fresh(code) if is_proved(&code) => {
            // The code was made when the user had given the password.
            let authenticated_ts = Some(code.expires_ts.saturating_sub(millis(CODE_LIFETIME)));
            oauth::issue(api, caller, code.grant, Occasion { nonce: code.nonce, authenticated_ts }).await
        }
        TakenCode::Used(code) if is_proved(&code) => {
            // Somebody else has it as well: what it was exchanged for ends (RFC 6749, 4.1.2).
            api.store.remove_devices(&code.grant.user_id, Some(&code.grant.device_id)).await?;
            e2ee::tell_changed(api, &code.grant.user_id).await?;
            Err(refused("invalid_grant", "The code was used before."))
        }
        _ => Err(refused("invalid_grant", "The code is not valid, or is not this client's.")),
    }
}

/// The next tokens of a device (RFC 6749, 6). Those before are good until these are used.
async fn by_refresh_token(api: &Api, form: &Parameters) -> ApiResult<TokenResponse> {
    let (client_id, refresh_token) = (form.require("client_id")?, form.require("refresh_token")?);
    let hash = token_hash(refresh_token);
    let owner = api.store.token_owner(&hash).await?.filter(|owner| owner.is_refresh);
    let invalid = || refused("invalid_grant", "The refresh token is not valid, or is not this client's.");
    if !owner.and_then(|owner| owner.client_id).is_some_and(|owner| same(&owner, client_id)) {
        return Err(invalid());
    }
    let new = NewTokens::random(api, true)?;
    if !api.store.refresh_tokens(&hash, new.kept()).await? {
        return Err(invalid());
    }
    Ok(TokenResponse::new(new, None))
}

/// A device that waits for its user (RFC 8628, 3.4).
async fn by_device_code(api: &Api, caller: Caller, form: &Parameters) -> ApiResult<TokenResponse> {
    let (client_id, device_code) = (form.require("client_id")?, form.require("device_code")?);
    let hash = token_hash(device_code);
    if api.device_polls.take(&axle_protocol::base64::encode(hash)).is_err() {
        return Err(refused("slow_down", "Ask less often."));
    }
    match api.store.poll_device_authorization(&hash, now_ms()).await? {
        PolledAuthorization::Granted(grant) if same(&grant.client_id, client_id) => {
            oauth::issue(api, caller, grant, Occasion::default()).await
        }
        PolledAuthorization::Granted(_) => Err(refused("invalid_grant", "The code is not this client's.")),
        PolledAuthorization::Pending => Err(refused("authorization_pending", "The user has not said anything yet.")),
        PolledAuthorization::Denied => Err(refused("access_denied", "The user does not want it.")),
        PolledAuthorization::Unknown => Err(refused("expired_token", "Nothing waits with this code any more.")),
    }
}

fn refused(error: &'static str, description: &str) -> ApiError {
    ApiError::OAuth(StatusCode::BAD_REQUEST, error, description.to_owned())
}
