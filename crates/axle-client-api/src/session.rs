//! Access tokens and who they belong to.

use std::net::IpAddr;
use std::time::Duration;

use axle_protocol::event::Hash;
use axle_protocol::{MatrixError, UserId, base64};
use axle_store::{Device, Standing, Tokens, User};
use axum::body::Body;
use http::Request;
use ruma::api::auth_scheme::{AccessToken, AuthScheme};
use ruma::{MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedUserId};
use sha2::{Digest, Sha256};

use crate::appservice::ServiceIndex;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::seen;
use crate::state::{Api, now_ms};

/// Random bytes in an access token, and in a refresh token.
pub(crate) const TOKEN_BYTES: usize = 32;
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
    proof: Proof,
    standing: Standing,
}

/// By what a session is known.
#[derive(Debug, Clone, Copy)]
enum Proof {
    /// An access token, of which this is the hash.
    Token(Hash),
    /// The token of an application service.
    Service(ServiceIndex),
    /// A token by which an administrator acts as the user, of which this is the hash.
    Admin(Hash),
}

impl Session {
    /// The user and the device: by what is kept in memory of a device.
    pub(crate) fn device(&self) -> (UserId, String) {
        (self.user_id.clone(), self.device_id.clone())
    }

    /// A session of a user that an application service acts as. Without a device it has an id that no device has.
    pub(crate) fn of_service(user: User, device_id: Option<String>, service: ServiceIndex) -> Self {
        let User { user_id, standing, .. } = user;
        Self { user_id, device_id: device_id.unwrap_or_default(), proof: Proof::Service(service), standing }
    }

    /// Refuses whose account is locked ("Account locking"). 401 `M_USER_LOCKED`.
    pub(crate) fn require_unlocked(&self) -> ApiResult<()> {
        require_unlocked(self.standing)
    }

    /// Refuses who may only read and leave ("Account suspension"). 403 `M_USER_SUSPENDED`.
    pub(crate) fn require_active(&self) -> Result<(), MatrixError> {
        if self.standing.suspended { Err(suspended()) } else { Ok(()) }
    }

    /// Refuses guests ("Guest Access"). 403 `M_GUEST_ACCESS_FORBIDDEN`.
    pub(crate) fn require_no_guest(&self) -> Result<(), MatrixError> {
        if self.standing.guest { Err(no_guests("This is not for guests.")) } else { Ok(()) }
    }

    /// Whether they are a guest.
    pub(crate) fn is_guest(&self) -> bool {
        self.standing.guest
    }

    /// Whether they may only read and leave.
    pub(crate) fn is_suspended(&self) -> bool {
        self.standing.suspended
    }

    /// The application service that acts as the user, if one does.
    pub(crate) fn service(&self) -> Option<ServiceIndex> {
        match self.proof {
            Proof::Token(_) | Proof::Admin(_) => None,
            Proof::Service(service) => Some(service),
        }
    }

    /// The hash of the token by which an administrator acts as the user, if one does.
    pub(crate) fn user_token(&self) -> Option<Hash> {
        match self.proof {
            Proof::Admin(hash) => Some(hash),
            Proof::Token(_) | Proof::Service(_) => None,
        }
    }

    /// The device; 400 `M_MISSING_PARAM` if an application service has named none, or an administrator acts as the user.
    pub(crate) fn require_device(&self) -> Result<&str, MatrixError> {
        match self.device_id.as_str() {
            "" => Err(MatrixError::missing_param("This needs a device, and there is none in this session.")),
            device_id => Ok(device_id),
        }
    }

    /// The time that an event is to have been sent at: only application services may say so.
    pub(crate) fn timestamp(&self, asked: Option<MilliSecondsSinceUnixEpoch>) -> Option<i64> {
        asked.filter(|_| self.service().is_some()).map(|asked| asked.get().into())
    }

    /// Refuses what belongs to somebody else.
    pub(crate) fn require_user(&self, user_id: &str) -> Result<(), MatrixError> {
        if self.user_id.as_str() == user_id {
            return Ok(());
        }
        Err(MatrixError::forbidden("What belongs to other users is not yours."))
    }
}

/// What a client that logs in asks for.
pub(crate) struct Login {
    /// The device; `None`: a new one.
    pub(crate) device_id: Option<OwnedDeviceId>,
    /// Its name, if it has none yet.
    pub(crate) name: Option<String>,
    /// Whether it can refresh an access token that ends.
    pub(crate) refresh: bool,
    /// Where it is.
    pub(crate) address: Option<IpAddr>,
}

/// A device that has just been logged in.
pub(crate) struct NewSession {
    pub(crate) user_id: OwnedUserId,
    pub(crate) device_id: OwnedDeviceId,
    pub(crate) tokens: NewTokens,
}

/// Tokens as a client gets them.
pub(crate) struct NewTokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    /// How long the access token is good; `None`: until the device is logged out.
    pub(crate) expires_in: Option<Duration>,
}

impl NewTokens {
    /// New ones. Only an access token that can be refreshed ends.
    pub(crate) fn random(api: &Api, refresh: bool) -> Result<Self, MatrixError> {
        let access_token = random_token(TOKEN_BYTES)?;
        let refresh_token = if refresh { Some(random_token(TOKEN_BYTES)?) } else { None };
        Ok(Self { access_token, refresh_token, expires_in: refresh.then_some(api.config.access_token_lifetime) })
    }

    /// What is kept of them.
    pub(crate) fn kept(&self) -> Tokens {
        let lifetime_ms = self.expires_in.map(|lifetime| i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
        Tokens {
            access_hash: token_hash(&self.access_token),
            expires_ts: lifetime_ms.map(|ms| now_ms().saturating_add(ms)),
            refresh_hash: self.refresh_token.as_deref().map(token_hash),
        }
    }
}

/// The access token of a request, from its header or, as old clients send it, its query.
pub(crate) fn token(request: &Request<Body>) -> Result<String, MatrixError> {
    let missing = |_| MatrixError::missing_token("This endpoint needs an access token.");
    AccessToken::extract_authentication(request).map_err(missing)
}

/// Finds out who makes a request, and notes from where.
pub(crate) async fn authenticate(api: &Api, token: String, address: Option<IpAddr>) -> ApiResult<Session> {
    let hash = token_hash(&token);
    let Some((device, standing)) = api.store.device_by_token(&hash).await? else {
        // Nothing is noted: the user has not been here.
        let (user_id, standing) = of_user_token(api, &hash).await?;
        return Ok(Session { user_id, device_id: String::new(), proof: Proof::Admin(hash), standing });
    };
    require_current(device.tokens.expires_ts)?;
    api.seen.note(&api.store, &device, address);
    let proof = Proof::Token(device.tokens.access_hash);
    Ok(Session { user_id: device.user_id, device_id: device.device_id, proof, standing })
}

/// Whether a session that was kept waiting is still logged in, and its account not locked.
pub(crate) async fn check(api: &Api, session: &Session) -> ApiResult<()> {
    match session.proof {
        Proof::Token(hash) => {
            let (device, standing) = api.store.device_by_token(&hash).await?.ok_or_else(unknown_token)?;
            require_current(device.tokens.expires_ts)?;
            require_unlocked(standing)
        }
        Proof::Admin(hash) => require_unlocked(of_user_token(api, &hash).await?.1),
        Proof::Service(_) => Ok(()),
    }
}

/// Refuses a locked account.
pub(crate) fn require_unlocked(standing: Standing) -> ApiResult<()> {
    if standing.locked { Err(ApiError::Locked) } else { Ok(()) }
}

/// Logs a device in: a new one, or the one with this id under a new token.
pub(crate) async fn start(api: &Api, user_id: &UserId, login: Login) -> ApiResult<NewSession> {
    let Login { device_id, name, refresh, address } = login;
    let known = match &device_id {
        Some(id) => api.store.devices(user_id).await?.into_iter().find(|device| device.device_id == id.as_str()),
        None => None,
    };
    let device_id = match device_id {
        Some(id) => id,
        None => random_device_id()?.into(),
    };
    let tokens = NewTokens::random(api, refresh)?;
    let (display_name, created_ts) = match known {
        Some(device) => (device.display_name.or(name), device.created_ts),
        None => (name, now_ms()),
    };
    let device = Device {
        user_id: user_id.clone(),
        device_id: device_id.to_string(),
        tokens: tokens.kept(),
        display_name,
        created_ts,
        last_seen: Some(seen::seen_now(address)),
    };
    if !api.store.put_device(device).await? {
        return Err(deactivated().into());
    }
    Ok(NewSession { user_id: ids::ruma_user(user_id)?, device_id, tokens })
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

/// The answer to who logs in to an account that has ended.
pub(crate) fn deactivated() -> MatrixError {
    MatrixError::new(403, "M_USER_DEACTIVATED", "This account is deactivated.")
}

/// The answer to who may only read and leave.
pub(crate) fn suspended() -> MatrixError {
    MatrixError::new(403, "M_USER_SUSPENDED", "This account is suspended: it can read and leave, and nothing else.")
}

/// The answer to guests, where they may not do something.
pub(crate) fn no_guests(error: &str) -> MatrixError {
    MatrixError::new(403, "M_GUEST_ACCESS_FORBIDDEN", error)
}

/// Random bytes as text.
pub(crate) fn random_token(bytes: usize) -> Result<String, MatrixError> {
    Ok(base64::encode_url(random(bytes)?))
}

/// The hash of a token that nobody has.
pub(crate) fn random_hash() -> Result<Hash, MatrixError> {
    Ok(token_hash(&random_token(TOKEN_BYTES)?))
}

/// What is kept of a token.
pub(crate) fn token_hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

/// As whom an administrator acts by a token.
async fn of_user_token(api: &Api, hash: &Hash) -> ApiResult<(UserId, Standing)> {
    let (token, standing) = api.store.user_token(hash).await?.ok_or_else(unknown_token)?;
    // Who has it cannot get it back by logging in again, so it is not said to have ended only for now.
    match token.expires_ts.is_some_and(|end| end <= now_ms()) {
        true => Err(unknown_token().into()),
        false => Ok((token.user_id, standing)),
    }
}

/// Refuses an access token that has ended, of a device that is still logged in.
fn require_current(expires_ts: Option<i64>) -> ApiResult<()> {
    if expires_ts.is_some_and(|end| end <= now_ms()) { Err(ApiError::Expired) } else { Ok(()) }
}

fn unknown_token() -> MatrixError {
    MatrixError::unknown_token("The access token is not valid.")
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
