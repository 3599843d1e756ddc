//! Tokens by which another device logs in.

use async_trait::async_trait;
use axle_protocol::event::Hash;

use super::MemoryStore;
use crate::{LoginToken, LoginTokens, MAX_LOGIN_TOKENS_PER_DEVICE, StoreError};

#[async_trait]
impl LoginTokens for MemoryStore {
    async fn put_login_token(&self, hash: &Hash, token: LoginToken, now: i64) -> Result<bool, StoreError> {
        let hash = *hash;
        self.write(move |data| {
            let owner = (token.user_id.clone(), token.device_id.clone());
            if !data.devices.contains_key(&owner) {
                return Ok(false);
            }
            data.login_tokens.retain(|_, token| token.expires_ts > now);
            data.login_tokens.insert(hash, token);
            let is_theirs = |token: &LoginToken| (&token.user_id, &token.device_id) == (&owner.0, &owner.1);
            let mut theirs: Vec<(i64, Hash)> = data
                .login_tokens
                .iter()
                .filter(|(_, token)| is_theirs(token))
                .map(|(hash, token)| (token.expires_ts, *hash))
                .collect();
            theirs.sort_unstable();
            for (_, hash) in theirs.iter().rev().skip(MAX_LOGIN_TOKENS_PER_DEVICE) {
                data.login_tokens.remove(hash);
            }
            Ok(true)
        })
        .await
    }

    async fn take_login_token(&self, hash: &Hash, now: i64) -> Result<Option<LoginToken>, StoreError> {
        let hash = *hash;
        self.write(move |data| Ok(data.login_tokens.remove(&hash).filter(|token| token.expires_ts > now))).await
    }
}
