//! Access tokens by which administrators act as users.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;

use super::MemoryStore;
use super::data::Data;
use crate::{MAX_USER_TOKENS_PER_ADMIN, Standing, StoreError, UserToken, UserTokens};

#[async_trait]
impl UserTokens for MemoryStore {
    async fn put_user_token(&self, hash: &Hash, token: UserToken, now: i64) -> Result<bool, StoreError> {
        let hash = *hash;
        self.write(move |data| {
            if data.users.get(&token.user_id).is_none_or(|user| user.deactivated) {
                return Ok(false);
            }
            data.user_tokens.retain(|(_, token)| token.expires_ts.is_none_or(|end| end > now));
            let is_theirs = |(_, other): &(Hash, UserToken)| other.admin == token.admin;
            if data.user_tokens.iter().filter(|other| is_theirs(other)).count() >= MAX_USER_TOKENS_PER_ADMIN
                && let Some(oldest) = data.user_tokens.iter().position(is_theirs)
            {
                data.user_tokens.remove(oldest);
            }
            data.user_tokens.push((hash, token));
            Ok(true)
        })
        .await
    }

    async fn user_token(&self, hash: &Hash) -> Result<Option<(UserToken, Standing)>, StoreError> {
        let locked = self.lock();
        let users = &locked.data.users;
        let found = locked.data.user_tokens.iter().find(|(known, _)| known == hash).map(|(_, token)| token);
        let is_good = |token: &&UserToken| users.get(&token.admin).is_some_and(|it| it.admin && !it.standing.locked);
        let standing = |token: &UserToken| users.get(&token.user_id).map(|user| user.standing).unwrap_or_default();
        Ok(found.filter(is_good).map(|token| (token.clone(), standing(token))))
    }

    async fn remove_user_token(&self, hash: &Hash) -> Result<(), StoreError> {
        let hash = *hash;
        self.write(move |data| {
            data.user_tokens.retain(|(known, _)| *known != hash);
            Ok(())
        })
        .await
    }
}

impl Data {
    /// Ends all that an administrator has.
    pub(super) fn remove_user_tokens_of(&mut self, admin: &UserId) {
        self.user_tokens.retain(|(_, token)| token.admin != *admin);
    }
}
