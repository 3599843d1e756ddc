//! Access tokens and who they belong to.

use axle_protocol::event::Hash;
use axle_protocol::{MatrixError, UserId, base64};
use axle_store::Device;
use axum::body::Body;
use http::Request;
use ruma::api::auth_scheme::{AccessToken, AuthScheme};
use ruma::{OwnedDeviceId, OwnedUserId};
use sha2::{Digest, Sha256};

use crate::error::ApiResult;
use crate::ids;
use crate::state::{Api, now_ms};

/// Random bytes in an access token.
const TOKEN_BYTES: usize = 32;
/// Letters in a device id that this server makes up.
const DEVICE_ID_LETTERS: usize = 10;
/// The longest device id that a client may choose.
const MAX_DEVICE_ID_BYTES: usize = 255;
/// The longest name of a device.
const MAX_DEVICE_NAME_BYTES: usize = 256;

/// Who makes a request, and with which device.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) user_id: UserId,
    pub(crate) device_id: String,
    token_hash: Hash,
}

impl Session {
    /// Refuses what belongs to somebody else.
    pub(crate) fn require_user(&self, user_id: &str) -> Result<(), MatrixError> {
        if self.user_id.as_str() == user_id {
            return Ok(());
        }
        Err(MatrixError::forbidden("What belongs to other users is not yours."))
    }
}

/// A device that has just been logged in.
pub(crate) struct NewSession {
    pub(crate) user_id: OwnedUserId,
    pub(crate) device_id: OwnedDeviceId,
    pub(crate) access_token: String,
}

/// The access token of a request, from its header or, as old clients send it, its query.
pub(crate) fn token(request: &Request<Body>) -> Result<String, MatrixError> {
    let missing = |_| MatrixError::missing_token("This endpoint needs an access token.");
    AccessToken::extract_authentication(request).map_err(missing)
}

/// Finds out who makes a request.
pub(crate) async fn authenticate(api: &Api, token: String) -> ApiResult<Session> {
    of_token(api, token_hash(&token)).await
}

/// Whether a session that was kept waiting is still logged in.
pub(crate) async fn check(api: &Api, session: &Session) -> ApiResult<()> {
    of_token(api, session.token_hash).await.map(|_| ())
}

/// Logs a device in: a new one, or the one with this id under a new token.
pub(crate) async fn start(
    api: &Api,
    user_id: &UserId,
    device_id: Option<OwnedDeviceId>,
    name: Option<String>,
) -> ApiResult<NewSession> {
    let known = match &device_id {
        Some(id) => api.store.devices(user_id).await?.into_iter().find(|device| device.device_id == id.as_str()),
        None => None,
    };
    let device_id = match device_id {
        Some(id) => id,
        None => random_device_id()?.into(),
    };
    let access_token = random_token(TOKEN_BYTES)?;
    let (display_name, created_ts) = match known {
        Some(device) => (device.display_name.or(name), device.created_ts),
        None => (name, now_ms()),
    };
    let device = Device {
        user_id: user_id.clone(),
        device_id: device_id.to_string(),
        token_hash: token_hash(&access_token),
        display_name,
        created_ts,
    };
    api.store.put_device(device).await?;
    Ok(NewSession { user_id: ids::ruma_user(user_id)?, device_id, access_token })
}

/// Refuses device ids and names that are too long to keep.
pub(crate) fn check_device(device_id: Option<&OwnedDeviceId>, name: Option<&str>) -> Result<(), MatrixError> {
    let length = device_id.map(|id| id.as_str().len());
    if length.is_some_and(|length| length == 0 || length > MAX_DEVICE_ID_BYTES) {
        return Err(MatrixError::invalid_param(format!("A device id has 1 to {MAX_DEVICE_ID_BYTES} bytes.")));
    }
    if name.is_some_and(|name| name.len() > MAX_DEVICE_NAME_BYTES) {
        return Err(MatrixError::invalid_param(format!("A device's name has at most {MAX_DEVICE_NAME_BYTES} bytes.")));
    }
    Ok(())
}

/// Random bytes as text.
pub(crate) fn random_token(bytes: usize) -> Result<String, MatrixError> {
    Ok(base64::encode_url(random(bytes)?))
}

/// What is kept of an access token.
pub(crate) fn token_hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

async fn of_token(api: &Api, token_hash: Hash) -> ApiResult<Session> {
    let device = api.store.device_by_token(&token_hash).await?;
    let device = device.ok_or_else(|| MatrixError::unknown_token("The access token is not valid."))?;
    Ok(Session { user_id: device.user_id, device_id: device.device_id, token_hash })
}

fn random_device_id() -> Result<String, MatrixError> {
    let letter = |byte: u8| char::from(b'A' + byte % 26);
    Ok(random(DEVICE_ID_LETTERS)?.into_iter().map(letter).collect())
}

pub(crate) fn random(bytes: usize) -> Result<Vec<u8>, MatrixError> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).map_err(|error| {
        tracing::error!(%error, "the system has no randomness");
        MatrixError::unknown("The server has no randomness.")
    })?;
    Ok(buffer)
}
