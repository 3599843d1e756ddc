//! `POST /_matrix/client/v3/auth/{authType}/fallback/web`: the form of the page.

use axum::response::Response;
use ruma::api::client::uiaa::AuthType;

use super::{asked, page};
use crate::endpoint::{Caller, RawRequest};
use crate::endpoints::account::registration_token::is_valid;
use crate::error::ApiResult;
use crate::fallback::Passed;
use crate::limiter::address_key;
use crate::oauth::Parameters;
use crate::state::Api;

/// Who sends it guesses tokens, perhaps: that is limited as registering is.
pub(super) async fn web_post(api: Api, caller: Caller, request: RawRequest) -> ApiResult<Response> {
    let (stage, session) = asked(&api, &request)?;
    api.limits.registrations.take(&address_key(caller.address))?;
    let form = Parameters::of_form(request).await?;
    let token = match stage {
        AuthType::RegistrationToken => {
            let token = form.get("token").unwrap_or_default();
            if !is_valid(&api, token).await? {
                return Ok(page::ask(&stage, Some("This registration token is not valid.")));
            }
            Some(token.to_owned())
        }
        _ => None,
    };
    api.fallbacks.pass(&session, Passed { stage, token });
    Ok(page::done())
}
