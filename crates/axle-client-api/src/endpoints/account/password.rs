//! `POST /_matrix/client/v3/account/password`

use axle_protocol::MatrixError;
use ruma::api::auth_scheme::AccessToken;
use ruma::api::client::account::change_password::v3 as ruma_password;
use ruma::api::client::uiaa::{AuthData, AuthType};
use serde::Deserialize;

use crate::error::ApiResult;
use crate::json_request::json_request;
use crate::password::check_password;
use crate::session::Session;
use crate::state::Api;
use crate::sync::extensions::e2ee;
use crate::uia::{self, Action};

/// ruma's own request needs no access token: elsewhere a password is changed by who reads the account's mail.
#[derive(Deserialize)]
pub(crate) struct Request {
    new_password: String,
    #[serde(default = "ruma::serde::default_true")]
    logout_devices: bool,
    auth: Option<AuthData>,
}

pub(crate) async fn password(api: Api, session: Session, request: Request) -> ApiResult<ruma_password::Response> {
    let user_id = &session.user_id;
    check_password(&request.new_password).map_err(MatrixError::from)?;
    api.limits.changes.take(user_id.as_str())?;
    let flows: &[&[AuthType]] = &[&[AuthType::Password]];
    uia::require(&api, &Action { name: "password", user_id, flows }, request.auth.as_ref()).await?;
    let hash = api.passwords.hash(request.new_password).await?;
    if request.logout_devices {
        api.store.change_password(user_id, &hash, &session.device_id).await?;
        e2ee::tell_changed(&api, user_id).await?;
    } else {
        api.store.set_password(user_id, &hash).await?;
    }
    Ok(ruma_password::Response::new())
}

json_request!(Request, like ruma_password::Request, authentication: AccessToken, response: ruma_password::Response);
