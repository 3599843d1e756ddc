//! Access tokens by which administrators act as users.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;
use rusqlite::params;

use super::rows::{self, integer, one};
use super::writer::Tx;
use super::{SqliteStore, accounts};
use crate::{MAX_USER_TOKENS_PER_ADMIN, Standing, StoreError, UserToken, UserTokens};

#[async_trait]
impl UserTokens for SqliteStore {
    async fn put_user_token(&self, hash: &Hash, token: UserToken, now: i64) -> Result<bool, StoreError> {
        let hash = *hash;
        self.write(move |tx| put(tx, &hash, &token, now)).await
    }

    async fn user_token(&self, hash: &Hash) -> Result<Option<(UserToken, Standing)>, StoreError> {
        let hash = *hash;
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT t.user_id, t.admin, t.expires_ts FROM user_token t JOIN user a ON a.user_id = t.admin
                 WHERE t.hash = ?1 AND a.admin = 1 AND a.locked = 0",
            )?;
            let found = one(&mut find, [hash], |row| {
                Ok(UserToken { user_id: rows::id(row, 0)?, admin: rows::id(row, 1)?, expires_ts: row.get(2)? })
            })?;
            let Some(token) = found else { return Ok(None) };
            let standing = accounts::standing(conn, &token.user_id)?;
            Ok(Some((token, standing)))
        })
        .await
    }

    async fn remove_user_token(&self, hash: &Hash) -> Result<(), StoreError> {
        let hash = *hash;
        self.write(move |tx| {
            tx.conn.prepare_cached("DELETE FROM user_token WHERE hash = ?1")?.execute([hash])?;
            Ok(())
        })
        .await
    }
}

/// Ends all that an administrator has.
pub(super) fn remove_of(tx: &Tx<'_>, admin: &UserId) -> Result<(), StoreError> {
    tx.conn.prepare_cached("DELETE FROM user_token WHERE admin = ?1")?.execute([admin.as_str()])?;
    Ok(())
}

fn put(tx: &Tx<'_>, hash: &Hash, token: &UserToken, now: i64) -> Result<bool, StoreError> {
    let UserToken { user_id, admin, expires_ts } = token;
    let is_active = "SELECT EXISTS (SELECT 1 FROM user WHERE user_id = ?1 AND deactivated = 0)";
    if integer(tx.conn, is_active, [user_id.as_str()])? != Some(1) {
        return Ok(false);
    }
    tx.conn.prepare_cached("DELETE FROM user_token WHERE expires_ts <= ?1")?.execute([now])?;
    tx.conn
        .prepare_cached("INSERT INTO user_token (hash, user_id, admin, expires_ts) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![hash, user_id.as_str(), admin.as_str(), expires_ts])?;
    let kept = i64::try_from(MAX_USER_TOKENS_PER_ADMIN).unwrap_or(i64::MAX);
    tx.conn
        .prepare_cached(
            "DELETE FROM user_token WHERE admin = ?1 AND id <= (
                 SELECT id FROM user_token WHERE admin = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![admin.as_str(), kept])?;
    Ok(true)
}
