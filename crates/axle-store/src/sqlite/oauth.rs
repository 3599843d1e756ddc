//! What the OAuth 2.0 authorization server keeps.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;
use rusqlite::{Connection, ErrorCode, Row, params};

use super::SqliteStore;
use super::rows::{self, integer, one};
use super::writer::Tx;
use crate::{
    DeviceAuthorization, MAX_DEVICE_AUTHORIZATIONS, MAX_OAUTH_CLIENTS, OAuth, OAuthCode, OAuthGrant,
    PolledAuthorization, StoreError, TakenCode, TokenOwner,
};

/// The columns of a device's tokens, and whether they are refresh tokens.
const TOKEN_COLUMNS: [(&str, bool); 4] =
    [("token_hash", false), ("refresh_hash", true), ("next_token_hash", false), ("next_refresh_hash", true)];

#[async_trait]
impl OAuth for SqliteStore {
    async fn put_oauth_client(&self, client_id: &str, metadata: &str, now: i64) -> Result<(), StoreError> {
        let (client_id, metadata) = (client_id.to_owned(), metadata.to_owned());
        self.write(move |tx| put_client(tx, &client_id, &metadata, now)).await
    }

    async fn oauth_client(&self, client_id: &str) -> Result<Option<String>, StoreError> {
        let client_id = client_id.to_owned();
        self.read(move |conn| {
            let mut find = conn.prepare_cached("SELECT metadata FROM oauth_client WHERE client_id = ?1")?;
            one(&mut find, [&client_id], |row| Ok(row.get(0)?))
        })
        .await
    }

    async fn put_oauth_code(&self, hash: &Hash, code: OAuthCode, now: i64) -> Result<(), StoreError> {
        let hash = *hash;
        self.write(move |tx| {
            forget_ended(tx, "oauth_code", now)?;
            let OAuthCode { grant, redirect_uri, challenge, nonce, expires_ts } = &code;
            tx.conn
                .prepare_cached(
                    "INSERT INTO oauth_code (hash, user_id, client_id, device_id, scope, redirect_uri, challenge,
                         nonce, expires_ts, used)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)",
                )?
                .execute(params![
                    hash,
                    grant.user_id.as_str(),
                    grant.client_id,
                    grant.device_id,
                    grant.scope,
                    redirect_uri,
                    challenge,
                    nonce,
                    expires_ts
                ])?;
            client_allowed(tx, &grant.client_id, now)
        })
        .await
    }

    async fn take_oauth_code(&self, hash: &Hash, now: i64) -> Result<TakenCode, StoreError> {
        let hash = *hash;
        self.write(move |tx| {
            let mut find = tx.conn.prepare_cached(
                "SELECT user_id, client_id, device_id, scope, redirect_uri, challenge, nonce, expires_ts, used
                 FROM oauth_code WHERE hash = ?1 AND expires_ts > ?2",
            )?;
            let found = one(&mut find, params![hash, now], |row| Ok((code(row)?, row.get::<_, bool>(8)?)))?;
            let Some((code, used)) = found else { return Ok(TakenCode::Unknown) };
            tx.conn.prepare_cached("UPDATE oauth_code SET used = 1 WHERE hash = ?1")?.execute([hash])?;
            Ok(if used { TakenCode::Used(code) } else { TakenCode::Fresh(code) })
        })
        .await
    }

    async fn put_device_authorization(
        &self,
        device_hash: &Hash,
        user_hash: &Hash,
        waiting: DeviceAuthorization,
        now: i64,
    ) -> Result<bool, StoreError> {
        let (device_hash, user_hash) = (*device_hash, *user_hash);
        self.write(move |tx| put_waiting(tx, &device_hash, &user_hash, &waiting, now)).await
    }

    async fn device_authorization(
        &self,
        user_hash: &Hash,
        now: i64,
    ) -> Result<Option<DeviceAuthorization>, StoreError> {
        let hash = *user_hash;
        self.read(move |conn| waiting(conn, &hash, now)).await
    }

    async fn answer_device_authorization(
        &self,
        user_hash: &Hash,
        user_id: Option<&UserId>,
        now: i64,
    ) -> Result<bool, StoreError> {
        let (hash, user_id) = (*user_hash, user_id.cloned());
        self.write(move |tx| {
            let Some(waiting) = waiting(tx.conn, &hash, now)? else { return Ok(false) };
            let user_id = user_id.as_ref().map(UserId::as_str);
            tx.conn
                .prepare_cached("UPDATE device_authorization SET user_id = ?2, denied = ?3 WHERE user_hash = ?1")?
                .execute(params![hash, user_id, user_id.is_none()])?;
            if user_id.is_some() {
                client_allowed(tx, &waiting.client_id, now)?;
            }
            Ok(true)
        })
        .await
    }

    async fn poll_device_authorization(&self, device_hash: &Hash, now: i64) -> Result<PolledAuthorization, StoreError> {
        let hash = *device_hash;
        let pending = self.read(move |conn| poll(conn, &hash, now)).await?;
        // Most polls learn nothing: they cost no write.
        if matches!(pending, PolledAuthorization::Pending | PolledAuthorization::Unknown) {
            return Ok(pending);
        }
        self.write(move |tx| {
            let polled = poll(tx.conn, &hash, now)?;
            tx.conn.prepare_cached("DELETE FROM device_authorization WHERE device_hash = ?1")?.execute([hash])?;
            Ok(polled)
        })
        .await
    }

    async fn put_oauth_session(&self, user_id: &UserId, device_id: &str, client_id: &str) -> Result<(), StoreError> {
        let (user_id, device_id, client_id) = (user_id.clone(), device_id.to_owned(), client_id.to_owned());
        self.write(move |tx| {
            tx.conn
                .prepare_cached(
                    "INSERT OR REPLACE INTO oauth_session (user_id, device_id, client_id) VALUES (?1, ?2, ?3)",
                )?
                .execute([user_id.as_str(), &device_id, &client_id])?;
            Ok(())
        })
        .await
    }

    async fn token_owner(&self, hash: &Hash) -> Result<Option<TokenOwner>, StoreError> {
        let hash = *hash;
        self.read(move |conn| {
            for (column, is_refresh) in TOKEN_COLUMNS {
                let sql = format!(
                    "SELECT d.user_id, d.device_id, s.client_id FROM device d
                     LEFT JOIN oauth_session s ON s.user_id = d.user_id AND s.device_id = d.device_id
                     WHERE d.{column} = ?1"
                );
                let owner = |row: &Row<'_>| {
                    Ok(TokenOwner {
                        user_id: rows::id(row, 0)?,
                        device_id: row.get(1)?,
                        client_id: row.get(2)?,
                        is_refresh,
                    })
                };
                if let Some(owner) = one(&mut conn.prepare_cached(&sql)?, [hash], owner)? {
                    return Ok(Some(owner));
                }
            }
            Ok(None)
        })
        .await
    }

    async fn id_token_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(id_token_key).await
    }

    async fn put_id_token_key(&self, pkcs8: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.write(move |tx| {
            let insert = "INSERT OR IGNORE INTO id_token_key (id, pkcs8) VALUES (1, ?1)";
            tx.conn.prepare_cached(insert)?.execute([&pkcs8])?;
            Ok(id_token_key(tx.conn)?.unwrap_or_else(|| pkcs8.clone()))
        })
        .await
    }
}

fn id_token_key(conn: &Connection) -> Result<Option<Vec<u8>>, StoreError> {
    one(&mut conn.prepare_cached("SELECT pkcs8 FROM id_token_key")?, [], |row| Ok(row.get(0)?))
}

fn put_client(tx: &Tx<'_>, client_id: &str, metadata: &str, now: i64) -> Result<(), StoreError> {
    let known = "UPDATE oauth_client SET used_ts = ?2 WHERE client_id = ?1";
    if tx.conn.prepare_cached(known)?.execute(params![client_id, now])? > 0 {
        return Ok(());
    }
    // Before the new one is there, so that it cannot be among those that go.
    let count = integer(tx.conn, "SELECT count(*) FROM oauth_client", [])?.unwrap_or(0);
    let most = i64::try_from(MAX_OAUTH_CLIENTS).unwrap_or(i64::MAX);
    tx.conn
        .prepare_cached(
            "DELETE FROM oauth_client WHERE client_id IN
                 (SELECT client_id FROM oauth_client ORDER BY allowed, used_ts LIMIT ?1)",
        )?
        .execute([(count + 1 - most).max(0)])?;
    tx.conn
        .prepare_cached("INSERT INTO oauth_client (client_id, metadata, allowed, used_ts) VALUES (?1, ?2, 0, ?3)")?
        .execute(params![client_id, metadata, now])?;
    Ok(())
}

/// A user allowed a client something.
fn client_allowed(tx: &Tx<'_>, client_id: &str, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE oauth_client SET allowed = 1, used_ts = ?2 WHERE client_id = ?1";
    tx.conn.prepare_cached(sql)?.execute(params![client_id, now])?;
    Ok(())
}

fn forget_ended(tx: &Tx<'_>, table: &str, now: i64) -> Result<(), StoreError> {
    tx.conn.prepare_cached(&format!("DELETE FROM {table} WHERE expires_ts <= ?1"))?.execute([now])?;
    Ok(())
}

fn code(row: &Row<'_>) -> Result<OAuthCode, StoreError> {
    Ok(OAuthCode {
        grant: OAuthGrant {
            user_id: rows::id(row, 0)?,
            client_id: row.get(1)?,
            device_id: row.get(2)?,
            scope: row.get(3)?,
        },
        redirect_uri: row.get(4)?,
        challenge: row.get(5)?,
        nonce: row.get(6)?,
        expires_ts: row.get(7)?,
    })
}

fn put_waiting(
    tx: &Tx<'_>,
    device_hash: &Hash,
    user_hash: &Hash,
    waiting: &DeviceAuthorization,
    now: i64,
) -> Result<bool, StoreError> {
    forget_ended(tx, "device_authorization", now)?;
    let count = integer(tx.conn, "SELECT count(*) FROM device_authorization", [])?.unwrap_or(0);
    if usize::try_from(count).is_ok_and(|count| count >= MAX_DEVICE_AUTHORIZATIONS) {
        return Ok(false);
    }
    let insert = tx
        .conn
        .prepare_cached(
            "INSERT INTO device_authorization (device_hash, user_hash, client_id, device_id, scope, expires_ts, denied)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
        )?
        .execute(params![
            device_hash,
            user_hash,
            waiting.client_id,
            waiting.device_id,
            waiting.scope,
            waiting.expires_ts
        ]);
    match insert {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(false),
        other => other.map(|_| true).map_err(StoreError::from),
    }
}

fn waiting(conn: &Connection, user_hash: &Hash, now: i64) -> Result<Option<DeviceAuthorization>, StoreError> {
    let mut find = conn.prepare_cached(
        "SELECT client_id, device_id, scope, expires_ts FROM device_authorization
         WHERE user_hash = ?1 AND expires_ts > ?2 AND user_id IS NULL AND denied = 0",
    )?;
    one(&mut find, params![user_hash, now], |row| {
        Ok(DeviceAuthorization {
            client_id: row.get(0)?,
            device_id: row.get(1)?,
            scope: row.get(2)?,
            expires_ts: row.get(3)?,
        })
    })
}

fn poll(conn: &Connection, device_hash: &Hash, now: i64) -> Result<PolledAuthorization, StoreError> {
    let mut find = conn.prepare_cached(
        "SELECT user_id, client_id, device_id, scope, denied FROM device_authorization
         WHERE device_hash = ?1 AND expires_ts > ?2",
    )?;
    let found = one(&mut find, params![device_hash, now], |row| {
        if row.get::<_, bool>(4)? {
            return Ok(PolledAuthorization::Denied);
        }
        if row.get::<_, Option<String>>(0)?.is_none() {
            return Ok(PolledAuthorization::Pending);
        }
        Ok(PolledAuthorization::Granted(OAuthGrant {
            user_id: rows::id(row, 0)?,
            client_id: row.get(1)?,
            device_id: row.get(2)?,
            scope: row.get(3)?,
        }))
    })?;
    Ok(found.unwrap_or(PolledAuthorization::Unknown))
}
