//! Logged-in devices of local users.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;
use rusqlite::{Connection, ErrorCode, Row, params};

use super::rows::{self, all, integer, one};
use super::writer::Tx;
use super::{SqliteStore, accounts, device_keys, user_tokens};
use crate::{Device, Devices, LastSeen, Standing, StoreError, Tokens};

/// What [`device`] reads.
const COLUMNS: &str =
    "user_id, device_id, token_hash, expires_ts, refresh_hash, display_name, created_ts, last_seen_ts, last_seen_ip";
/// Tables with what goes with a device, beside its keys, by `user_id` and `device_id`.
const TABLES: [&str; 7] =
    ["device", "client_txn", "to_device", "pusher", "dehydrated_device", "oauth_session", "login_token"];

#[async_trait]
impl Devices for SqliteStore {
    async fn put_device(&self, device: Device) -> Result<bool, StoreError> {
        self.write(move |tx| put(tx, &device)).await
    }

    async fn device_by_token(&self, access_hash: &Hash) -> Result<Option<(Device, Standing)>, StoreError> {
        let hash = *access_hash;
        let changes = match self.inner.shared.sessions.get(&hash) {
            Ok(found) => return Ok(Some(found)),
            Err(changes) => changes,
        };
        let found = self.read(move |conn| {
            let current = by_token(conn, &hash)?;
            let next = "SELECT EXISTS (SELECT 1 FROM device WHERE next_token_hash = ?1)";
            let is_next = current.is_none() && integer(conn, next, [hash])? == Some(1);
            Ok((current, is_next))
        });
        let (current, is_next) = found.await?;
        if !is_next {
            // Where another process writes, nothing would tell that the device has changed.
            if let Some(found) = current.as_ref().filter(|_| self.inner.writer.is_some()) {
                self.inner.shared.sessions.put(found, changes);
            }
            return Ok(current);
        }
        self.write(move |tx| {
            go_on(tx, "next_token_hash", &hash)?;
            by_token(tx.conn, &hash)
        })
        .await
    }

    async fn refresh_tokens(&self, refresh_hash: &Hash, next: Tokens) -> Result<bool, StoreError> {
        let hash = *refresh_hash;
        self.write(move |tx| {
            go_on(tx, "next_refresh_hash", &hash)?;
            let refreshed = tx
                .conn
                .prepare_cached(
                    "UPDATE device SET next_token_hash = ?2, next_expires_ts = ?3, next_refresh_hash = ?4
                     WHERE refresh_hash = ?1",
                )?
                .execute(params![hash, next.access_hash, next.expires_ts, next.refresh_hash])?;
            Ok(refreshed == 1)
        })
        .await
    }

    async fn devices(&self, user_id: &UserId) -> Result<Vec<Device>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM device WHERE user_id = ?1 ORDER BY device_id");
            all(&mut conn.prepare_cached(&sql)?, [user_id.as_str()], device)
        })
        .await
    }

    async fn name_device(&self, user_id: &UserId, device_id: &str, name: Option<&str>) -> Result<bool, StoreError> {
        let (user_id, device_id, name) = (user_id.clone(), device_id.to_owned(), name.map(str::to_owned));
        self.write(move |tx| {
            let sql = "UPDATE device SET display_name = ?3 WHERE user_id = ?1 AND device_id = ?2";
            let named = tx.conn.prepare_cached(sql)?.execute(params![user_id.as_str(), device_id, name])? == 1;
            if named {
                tx.effects.device_users.push(user_id.clone());
                device_keys::renamed(tx, &user_id, &device_id)?;
            }
            Ok(named)
        })
        .await
    }

    async fn device_seen(&self, user_id: &UserId, device_id: &str, seen: LastSeen) -> Result<(), StoreError> {
        let (user_id, device_id) = (user_id.clone(), device_id.to_owned());
        self.write(move |tx| {
            tx.conn
                .prepare_cached(
                    "UPDATE device SET last_seen_ts = ?3, last_seen_ip = ?4 WHERE user_id = ?1 AND device_id = ?2",
                )?
                .execute(params![user_id.as_str(), device_id, seen.ts, seen.ip])?;
            Ok(())
        })
        .await
    }

    async fn remove_devices(&self, user_id: &UserId, device_id: Option<&str>) -> Result<(), StoreError> {
        let (user_id, device_id) = (user_id.clone(), device_id.map(str::to_owned));
        self.write(move |tx| remove(tx, &user_id, device_id.as_deref())).await
    }

    async fn remove_these_devices(&self, user_id: &UserId, device_ids: Vec<String>) -> Result<(), StoreError> {
        let user_id = user_id.clone();
        self.write(move |tx| device_ids.iter().try_for_each(|device_id| remove(tx, &user_id, Some(device_id)))).await
    }
}

/// Logs devices out; all of the user's if `device_id` is `None`.
pub(super) fn remove(tx: &mut Tx<'_>, user_id: &UserId, device_id: Option<&str>) -> Result<(), StoreError> {
    tx.effects.device_users.push(user_id.clone());
    device_keys::remove(tx, user_id, device_id)?;
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE user_id = ?1 AND device_id = coalesce(?2, device_id)");
        tx.conn.prepare_cached(&sql)?.execute(params![user_id.as_str(), device_id])?;
    }
    match device_id {
        Some(_) => Ok(()),
        None => user_tokens::remove_of(tx, user_id),
    }
}

/// Creates a device, or logs it in anew.
pub(super) fn put(tx: &mut Tx<'_>, device: &Device) -> Result<bool, StoreError> {
    // Between the check of a password and this the account may have ended.
    let deactivated = "SELECT deactivated FROM user WHERE user_id = ?1";
    if integer(tx.conn, deactivated, [device.user_id.as_str()])? == Some(1) {
        return Ok(false);
    }
    tx.effects.device_users.push(device.user_id.clone());
    let insert = tx
        .conn
        .prepare_cached(
            "INSERT INTO device (user_id, device_id, token_hash, expires_ts, refresh_hash, display_name, created_ts,
                 last_seen_ts, last_seen_ip)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (user_id, device_id) DO UPDATE SET token_hash = excluded.token_hash,
                 expires_ts = excluded.expires_ts, refresh_hash = excluded.refresh_hash,
                 next_token_hash = NULL, next_expires_ts = NULL, next_refresh_hash = NULL,
                 display_name = coalesce(excluded.display_name, display_name),
                 last_seen_ts = excluded.last_seen_ts, last_seen_ip = excluded.last_seen_ip",
        )?
        .execute(params![
            device.user_id.as_str(),
            device.device_id,
            device.tokens.access_hash,
            device.tokens.expires_ts,
            device.tokens.refresh_hash,
            device.display_name,
            device.created_ts,
            device.last_seen.as_ref().map(|seen| seen.ts),
            device.last_seen.as_ref().and_then(|seen| seen.ip.as_deref())
        ]);
    match insert {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreError::Exists("the access token".into()))
        }
        other => other.map(|_| true).map_err(StoreError::from),
    }
}

fn by_token(conn: &Connection, hash: &Hash) -> Result<Option<(Device, Standing)>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM device WHERE token_hash = ?1");
    let Some(device) = one(&mut conn.prepare_cached(&sql)?, [hash], device)? else { return Ok(None) };
    let standing = accounts::standing(conn, &device.user_id)?;
    Ok(Some((device, standing)))
}

/// Makes the next tokens of the device for which they have this hash the current ones.
fn go_on(tx: &mut Tx<'_>, column: &str, hash: &Hash) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE device SET token_hash = next_token_hash, expires_ts = next_expires_ts, refresh_hash = next_refresh_hash,
             next_token_hash = NULL, next_expires_ts = NULL, next_refresh_hash = NULL
         WHERE {column} = ?1 RETURNING user_id"
    );
    let users = all(&mut tx.conn.prepare_cached(&sql)?, [hash], |row| rows::id(row, 0))?;
    tx.effects.device_users.extend(users);
    Ok(())
}

fn device(row: &Row<'_>) -> Result<Device, StoreError> {
    let (seen_ts, seen_ip): (Option<i64>, Option<String>) = (row.get(7)?, row.get(8)?);
    Ok(Device {
        user_id: rows::id(row, 0)?,
        device_id: row.get(1)?,
        tokens: Tokens { access_hash: rows::hash(row, 2)?, expires_ts: row.get(3)?, refresh_hash: row.get(4)? },
        display_name: row.get(5)?,
        created_ts: row.get(6)?,
        last_seen: seen_ts.map(|ts| LastSeen { ts, ip: seen_ip }),
    })
}
