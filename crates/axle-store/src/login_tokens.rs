//! Tokens by which somebody who is logged in lets another device of theirs log in.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;

use crate::StoreError;

/// How many of a device are good at once. Of more, those that end first are forgotten.
pub const MAX_LOGIN_TOKENS_PER_DEVICE: usize = 10;

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginToken {
    /// Who may log in.
    pub user_id: UserId,
    /// The device that asked for it. When that is logged out, the token ends.
    pub device_id: String,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_ts: i64,
}

/// Login tokens. Of each only a hash is kept. All times are milliseconds since the Unix epoch.
#[async_trait]
pub trait LoginTokens {
    /// Keeps a token. `false`: its device is not logged in.
    async fn put_login_token(&self, hash: &Hash, token: LoginToken, now: i64) -> Result<bool, StoreError>;

    /// Uses a token up; `None`: there is none that is good.
    async fn take_login_token(&self, hash: &Hash, now: i64) -> Result<Option<LoginToken>, StoreError>;
}
