//! `POST /oauth2/authorize`: what the user says to what a client asks.

use axle_store::{OAuthCode, OAuthGrant};
use axum::response::Response;

use super::authorize_get::ask;
use super::{authenticate, register_person};
use crate::endpoint::{Caller, RawRequest};
use crate::error::ApiResult;
use crate::oauth::{self, AuthorizationRequest, Browser, CODE_BYTES, CODE_LIFETIME, Parameters, Parsed, millis};
use crate::session::{random_token, token_hash};
use crate::state::{Api, now_ms};

pub(super) async fn authorize_post(api: Api, caller: Caller, request: RawRequest) -> ApiResult<Response> {
    oauth::url(&api, "")?;
    let browser = Browser::of(&api, request.head())?;
    let form = Parameters::of_form(request).await?;
    if !browser.sent(&form) {
        return browser.refuse(&api);
    }
    // The form carries the request as it was made: it is checked as it was then.
    let parameters = Parameters::parse(form.get("request").unwrap_or_default().as_bytes())?;
    let mut request = match AuthorizationRequest::parse(&api, &parameters).await? {
        Parsed::Good(request) => *request,
        Parsed::SentBack(response) => return Ok(response),
        Parsed::Refused(page) => return browser.show(&api, page),
    };
    let person = match form.get("answer") {
        Some("allow") => authenticate(&api, caller, &form).await?,
        Some("register") => register_person(&api, caller, &form).await?,
        _ => return request.back.error("access_denied", "The user does not want it."),
    };
    let user_id = match person {
        Ok(user_id) => user_id,
        Err(problem) => {
            // The form is shown again with the name that was typed.
            request.hint = form.get("username").map(str::to_owned);
            return ask(&api, &browser, &parameters, &request, Some(&problem));
        }
    };
    api.limits.changes.take(user_id.as_str())?;
    let code = random_token(CODE_BYTES)?;
    let now = now_ms();
    let kept = OAuthCode {
        grant: OAuthGrant {
            user_id,
            client_id: request.client_id,
            device_id: request.scope.device_id,
            scope: request.scope.text,
        },
        redirect_uri: request.back.redirect_uri.clone(),
        challenge: request.challenge,
        nonce: request.nonce,
        expires_ts: now.saturating_add(millis(CODE_LIFETIME)),
    };
    api.store.put_oauth_code(&token_hash(&code), kept, now).await?;
    request.back.code(&code)
}
