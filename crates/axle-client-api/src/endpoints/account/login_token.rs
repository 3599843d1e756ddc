//! `POST /_matrix/client/v1/login/get_token`

use std::time::Duration;

use axle_protocol::MatrixError;
use axle_store::LoginToken;
use ruma::api::client::session::get_login_token::v1::{Request, Response};
use ruma::api::client::uiaa::AuthType;

use crate::error::ApiResult;
use crate::session::{Session, random_token, token_hash};
use crate::state::{Api, now_ms};
use crate::uia::{self, Action};

/// How long a token is good: as long as it takes to bring it to another device.
const LIFETIME: Duration = Duration::from_secs(120);
/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

pub(crate) async fn login_token(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_device()?;
    let user_id = session.user_id;
    api.limits.changes.take(user_id.as_str())?;
    let flows: &[&[AuthType]] = &[&[AuthType::Password]];
    uia::require(&api, &Action { name: "login_token", user_id: &user_id, flows }, request.auth.as_ref()).await?;
    let (token, now) = (random_token(TOKEN_BYTES)?, now_ms());
    let lifetime_ms = i64::try_from(LIFETIME.as_millis()).unwrap_or(i64::MAX);
    let kept = LoginToken { user_id, device_id: session.device_id, expires_ts: now.saturating_add(lifetime_ms) };
    if !api.store.put_login_token(&token_hash(&token), kept, now).await? {
        return Err(MatrixError::unknown_token("The device was logged out.").into());
    }
    Ok(Response::new(LIFETIME, token))
}
