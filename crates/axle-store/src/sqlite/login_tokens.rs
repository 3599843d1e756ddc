//! Tokens by which another device logs in.

use async_trait::async_trait;
use axle_protocol::event::Hash;
use rusqlite::params;

use super::SqliteStore;
use super::rows::{self, integer, one};
use super::writer::Tx;
use crate::{LoginToken, LoginTokens, MAX_LOGIN_TOKENS_PER_DEVICE, StoreError};

#[async_trait]
impl LoginTokens for SqliteStore {
    async fn put_login_token(&self, hash: &Hash, token: LoginToken, now: i64) -> Result<bool, StoreError> {
        let hash = *hash;
        self.write(move |tx| put(tx, &hash, &token, now)).await
    }

    async fn take_login_token(&self, hash: &Hash, now: i64) -> Result<Option<LoginToken>, StoreError> {
        let hash = *hash;
        // A guess costs no write.
        let is_known = "SELECT EXISTS (SELECT 1 FROM login_token WHERE hash = ?1)";
        if self.read(move |conn| integer(conn, is_known, [hash])).await? != Some(1) {
            return Ok(None);
        }
        self.write(move |tx| {
            let mut take = tx.conn.prepare_cached(
                "DELETE FROM login_token WHERE hash = ?1 AND expires_ts > ?2
                 RETURNING user_id, device_id, expires_ts",
            )?;
            one(&mut take, params![hash, now], |row| {
                Ok(LoginToken { user_id: rows::id(row, 0)?, device_id: row.get(1)?, expires_ts: row.get(2)? })
            })
        })
        .await
    }
}

fn put(tx: &Tx<'_>, hash: &Hash, token: &LoginToken, now: i64) -> Result<bool, StoreError> {
    let LoginToken { user_id, device_id, expires_ts } = token;
    let owner = [user_id.as_str(), device_id.as_str()];
    let is_logged_in = "SELECT EXISTS (SELECT 1 FROM device WHERE user_id = ?1 AND device_id = ?2)";
    if integer(tx.conn, is_logged_in, owner)? != Some(1) {
        return Ok(false);
    }
    tx.conn.prepare_cached("DELETE FROM login_token WHERE expires_ts <= ?1")?.execute([now])?;
    tx.conn
        .prepare_cached("INSERT INTO login_token (hash, user_id, device_id, expires_ts) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![hash, owner[0], owner[1], expires_ts])?;
    let kept = i64::try_from(MAX_LOGIN_TOKENS_PER_DEVICE).unwrap_or(i64::MAX);
    tx.conn
        .prepare_cached(
            "DELETE FROM login_token WHERE hash IN (
                 SELECT hash FROM login_token WHERE user_id = ?1 AND device_id = ?2
                 ORDER BY expires_ts DESC LIMIT -1 OFFSET ?3)",
        )?
        .execute(params![owner[0], owner[1], kept])?;
    Ok(true)
}
