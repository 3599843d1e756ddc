//! Access tokens by which administrators act as users, without a device of theirs.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;

use crate::{Standing, StoreError};

/// How many an administrator has at most; the oldest make room for new ones.
pub const MAX_USER_TOKENS_PER_ADMIN: usize = 1_000;

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserToken {
    /// As whom one acts with it.
    pub user_id: UserId,
    /// The administrator who asked for it. It is good as long as they are one.
    pub admin: UserId,
    /// When it ends, in milliseconds since the Unix epoch; `None`: never.
    pub expires_ts: Option<i64>,
}

/// Such tokens. Of each only a hash is kept.
#[async_trait]
pub trait UserTokens {
    /// Keeps a token. `now` is in milliseconds since the Unix epoch: those that have ended are forgotten. `false`: there is
    /// no such user, or their account is deactivated.
    async fn put_user_token(&self, hash: &Hash, token: UserToken, now: i64) -> Result<bool, StoreError>;

    /// What a token is good for, whether or not its time has come, and what the user's account can be used for. `None`:
    /// there is none, or the administrator is none any more, or their account is locked.
    async fn user_token(&self, hash: &Hash) -> Result<Option<(UserToken, Standing)>, StoreError>;

    /// Ends a token. Otherwise it ends when its administrator logs all devices out, or takes another password and logs the
    /// others out, or when one of the two accounts is deactivated.
    async fn remove_user_token(&self, hash: &Hash) -> Result<(), StoreError>;
}
