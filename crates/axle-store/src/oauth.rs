//! What the OAuth 2.0 authorization server keeps: clients, what users allow them, and until that is fetched. Of codes
//! only hashes are kept. The key that ID tokens are signed with is kept as it is.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;

use crate::StoreError;

/// Clients that are kept at most. Beyond that those go first that nobody ever allowed anything, then those that were
/// used least recently.
pub const MAX_OAUTH_CLIENTS: usize = 10_000;
/// Devices that wait for their user at most.
pub const MAX_DEVICE_AUTHORIZATIONS: usize = 10_000;

/// What a user allows a client: to be a device of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthGrant {
    /// Who.
    pub user_id: UserId,
    /// Whom.
    pub client_id: String,
    /// The device.
    pub device_id: String,
    /// As the client asked for it.
    pub scope: String,
}

/// What an authorization code is good for (RFC 6749, 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthCode {
    /// What was allowed.
    pub grant: OAuthGrant,
    /// Where the code was sent.
    pub redirect_uri: String,
    /// What proves that who has the code asked for it (RFC 7636), in its method S256.
    pub challenge: String,
    /// What the client wants to find again in the ID token (OpenID Connect Core 1.0, 3.1.2.1).
    pub nonce: Option<String>,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_ts: i64,
}

/// What became of a code that somebody shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenCode {
    /// It was good; it is no longer.
    Fresh(OAuthCode),
    /// It was shown before, and would not have ended yet.
    Used(OAuthCode),
    /// There is none.
    Unknown,
}

/// A device that waits for its user to allow it (RFC 8628).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// The client on it.
    pub client_id: String,
    /// Its id.
    pub device_id: String,
    /// As the client asked for it.
    pub scope: String,
    /// When it waits no longer, in milliseconds since the Unix epoch.
    pub expires_ts: i64,
}

/// What a device learns that asks whether it was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolledAuthorization {
    /// Nobody has said anything.
    Pending,
    /// Its user does not want it. Told once.
    Denied,
    /// Its user allows it. Told once.
    Granted(OAuthGrant),
    /// There is none, or it has ended.
    Unknown,
}

/// Which device a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// Whose device.
    pub user_id: UserId,
    /// Which.
    pub device_id: String,
    /// The client that was allowed to be it; `None`: somebody logged in by other means.
    pub client_id: Option<String>,
    /// Whether it is a refresh token.
    pub is_refresh: bool,
}

/// OAuth 2.0. All times are milliseconds since the Unix epoch.
#[async_trait]
pub trait OAuth {
    /// Keeps a client with its metadata, a JSON object. The same id again is the same client.
    async fn put_oauth_client(&self, client_id: &str, metadata: &str, now: i64) -> Result<(), StoreError>;

    /// The metadata of a client.
    async fn oauth_client(&self, client_id: &str) -> Result<Option<String>, StoreError>;

    /// A user allows something; the code is what the client fetches it with.
    async fn put_oauth_code(&self, hash: &Hash, code: OAuthCode, now: i64) -> Result<(), StoreError>;

    /// Uses a code up.
    async fn take_oauth_code(&self, hash: &Hash, now: i64) -> Result<TakenCode, StoreError>;

    /// A device begins to wait. `false`: too many do, or another has the code for its user.
    async fn put_device_authorization(
        &self,
        device_hash: &Hash,
        user_hash: &Hash,
        waiting: DeviceAuthorization,
        now: i64,
    ) -> Result<bool, StoreError>;

    /// The device that waits under a code for its user, if nobody has said anything yet.
    async fn device_authorization(&self, user_hash: &Hash, now: i64)
    -> Result<Option<DeviceAuthorization>, StoreError>;

    /// A user allows a device, or (`None`) does not. `false`: it does not wait.
    async fn answer_device_authorization(
        &self,
        user_hash: &Hash,
        user_id: Option<&UserId>,
        now: i64,
    ) -> Result<bool, StoreError>;

    /// A device asks whether it was allowed.
    async fn poll_device_authorization(&self, device_hash: &Hash, now: i64) -> Result<PolledAuthorization, StoreError>;

    /// A client is a device of a user's, until that is removed.
    async fn put_oauth_session(&self, user_id: &UserId, device_id: &str, client_id: &str) -> Result<(), StoreError>;

    /// The device that an access or refresh token belongs to, whether that has ended or is yet to be used.
    async fn token_owner(&self, hash: &Hash) -> Result<Option<TokenOwner>, StoreError>;

    /// The private key that ID tokens are signed with (PKCS #8, DER), if one was ever made.
    async fn id_token_key(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps a new one unless there is one. Returns what is kept then.
    async fn put_id_token_key(&self, pkcs8: Vec<u8>) -> Result<Vec<u8>, StoreError>;
}
