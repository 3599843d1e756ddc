//! `POST /_matrix/client/unstable/im.axle.keys.v1/withdraw`

use axle_protocol::MatrixError;
use axle_store::{KeyName, KeyWithdrawal};
use axum::response::Response;
use serde::Deserialize;

use super::upload::{self, MAX_ONE_TIME_KEYS};
use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;
use crate::sync::extensions::e2ee;

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    one_time_keys: Vec<String>,
    #[serde(default)]
    fallback_keys: Vec<String>,
    #[serde(default)]
    device_keys: bool,
}

/// Answers like `keys/upload`.
pub(crate) async fn withdraw(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    session.require_device()?;
    let Request { one_time_keys, fallback_keys, device_keys } = request.json().await?;
    if one_time_keys.len().max(fallback_keys.len()) > MAX_ONE_TIME_KEYS {
        let error = format!("At most {MAX_ONE_TIME_KEYS} keys can be withdrawn at once.");
        return Err(MatrixError::invalid_param(error).into());
    }
    let withdrawal = KeyWithdrawal {
        user_id: session.user_id.clone(),
        device_id: session.device_id.clone(),
        identity: device_keys,
        one_time: names(&one_time_keys)?,
        fallback: names(&fallback_keys)?,
    };
    api.limits.changes.take(session.user_id.as_str())?;
    if api.store.withdraw_keys(withdrawal).await? {
        e2ee::tell_changed(&api, &session.user_id).await?;
    }
    upload::left(&api, &session).await.map(respond)
}

fn names(ids: &[String]) -> Result<Vec<KeyName>, MatrixError> {
    let name = |id: &String| {
        let (algorithm, key_id) = upload::split_id(id)?;
        Ok(KeyName { algorithm: algorithm.into(), key_id: key_id.into() })
    };
    ids.iter().map(name).collect()
}
