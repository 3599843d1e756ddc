//! Local users.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use axle_protocol::event::Hash;
use axle_protocol::{EventId, RoomId, UserId};
use rusqlite::{Connection, Row, params};

use super::rows::{self, all, integer, one};
use super::writer::Tx;
use super::{SqliteStore, devices, user_tokens};
use crate::{Accounts, ClientTxnKey, ClientTxnState, ErasedUsers, RegistrationToken, Standing, StoreError, User};

/// How long the outcome of a client's transaction is kept. Clients repeat one within minutes.
const TXN_KEPT_MS: i64 = 7 * 24 * 3600 * 1000;
/// Every so many transactions, old ones are removed, at most twice as many.
const TXN_SWEEP: i64 = 256;
/// So many sync filters of a user are kept, the newest.
const MAX_FILTERS: i64 = 256;
/// Tables of what a user keeps for themselves or shows of themselves, by `user_id`, beside their devices.
const OWN_TABLES: [&str; 7] =
    ["account_data", "profile", "profile_field", "cross_signing_key", "key_backup", "delayed_event", "user_token"];

#[async_trait]
impl Accounts for SqliteStore {
    async fn create_user(&self, user: User, token: Option<&str>) -> Result<bool, StoreError> {
        let token = token.map(str::to_owned);
        self.write(move |tx| create_user(tx, &user, token.as_deref())).await
    }

    async fn user(&self, user_id: &UserId) -> Result<Option<User>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT user_id, password_hash, admin, deactivated, erased, created_ts, locked, suspended, guest
                 FROM user WHERE user_id = ?1",
            )?;
            one(&mut find, [user_id.as_str()], user)
        })
        .await
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.read(|conn| {
            let sql = "SELECT user_id, password_hash, admin, deactivated, erased, created_ts, locked, suspended, guest
                       FROM user ORDER BY user_id";
            all(&mut conn.prepare_cached(sql)?, [], user)
        })
        .await
    }

    async fn set_password(&self, user_id: &UserId, password_hash: &str) -> Result<bool, StoreError> {
        let (user_id, password_hash) = (user_id.clone(), password_hash.to_owned());
        self.write(move |tx| set_password(tx, &user_id, &password_hash)).await
    }

    async fn change_password(&self, user_id: &UserId, password_hash: &str, keep: &str) -> Result<bool, StoreError> {
        let (user_id, password_hash, keep) = (user_id.clone(), password_hash.to_owned(), keep.to_owned());
        self.write(move |tx| {
            if !set_password(tx, &user_id, &password_hash)? {
                return Ok(false);
            }
            let mut others =
                tx.conn.prepare_cached("SELECT device_id FROM device WHERE user_id = ?1 AND device_id <> ?2")?;
            let others: Vec<String> = all(&mut others, [user_id.as_str(), &keep], |row| Ok(row.get(0)?))?;
            others.iter().try_for_each(|device_id| devices::remove(tx, &user_id, Some(device_id)))?;
            user_tokens::remove_of(tx, &user_id)?;
            Ok(true)
        })
        .await
    }

    async fn deactivate_user(&self, user_id: &UserId, erase: bool) -> Result<bool, StoreError> {
        let user_id = user_id.clone();
        self.write(move |tx| {
            if erase {
                self::erase(tx, &user_id)?;
            }
            deactivate(tx, &user_id)
        })
        .await
    }

    fn erased_users(&self) -> ErasedUsers {
        self.inner.shared.erased.users()
    }

    async fn departing(&self) -> Result<Vec<UserId>, StoreError> {
        self.read(|conn| {
            all(&mut conn.prepare_cached("SELECT user_id FROM departing ORDER BY user_id")?, [], |row| rows::id(row, 0))
        })
        .await
    }

    async fn departed(&self, user_id: &UserId) -> Result<(), StoreError> {
        let user_id = user_id.clone();
        self.write(move |tx| {
            tx.conn.prepare_cached("DELETE FROM departing WHERE user_id = ?1")?.execute([user_id.as_str()])?;
            Ok(())
        })
        .await
    }

    async fn put_registration_token(&self, token: RegistrationToken) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.conn
                .prepare_cached(
                    "INSERT OR REPLACE INTO registration_token (token, uses_left, completed, expires_ts)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![token.token, token.uses_left, token.completed, token.expires_ts])?;
            Ok(())
        })
        .await
    }

    async fn registration_tokens(&self) -> Result<Vec<RegistrationToken>, StoreError> {
        self.read(|conn| {
            let sql = "SELECT token, uses_left, completed, expires_ts FROM registration_token ORDER BY token";
            all(&mut conn.prepare_cached(sql)?, [], |row| {
                Ok(RegistrationToken {
                    token: row.get(0)?,
                    uses_left: row.get(1)?,
                    completed: row.get(2)?,
                    expires_ts: row.get(3)?,
                })
            })
        })
        .await
    }

    async fn client_txn(&self, key: &ClientTxnKey) -> Result<Option<ClientTxnState>, StoreError> {
        let key = key.clone();
        self.read(move |conn| client_txn(conn, &key)).await
    }

    async fn device_txn_ids(
        &self,
        user_id: &UserId,
        device_id: &str,
        event_ids: &[EventId],
    ) -> Result<Vec<(EventId, String)>, StoreError> {
        let (user_id, device_id, event_ids) = (user_id.clone(), device_id.to_owned(), event_ids.to_vec());
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                // Without the signs, all that the device ever sent would be gone through.
                "SELECT txn_id FROM client_txn WHERE event_id = ?1 AND +user_id = ?2 AND +device_id = ?3",
            )?;
            let mut found = Vec::new();
            for event_id in event_ids {
                let key = [event_id.as_str(), user_id.as_str(), device_id.as_str()];
                found.extend(one(&mut find, key, |row| Ok(row.get(0)?))?.map(|txn_id| (event_id.clone(), txn_id)));
            }
            Ok(found)
        })
        .await
    }

    async fn put_filter(&self, user_id: &UserId, filter: &str) -> Result<String, StoreError> {
        let (user_id, filter) = (user_id.clone(), filter.to_owned());
        self.write(move |tx| put_filter(tx, &user_id, &filter)).await
    }

    async fn filter(&self, user_id: &UserId, filter_id: &str) -> Result<Option<String>, StoreError> {
        let Ok(id) = filter_id.parse::<i64>() else { return Ok(None) };
        let user_id = user_id.clone();
        self.read(move |conn| {
            let mut find = conn.prepare_cached("SELECT json FROM filter WHERE id = ?1 AND user_id = ?2")?;
            one(&mut find, params![id, user_id.as_str()], |row| Ok(row.get(0)?))
        })
        .await
    }
}

fn create_user(tx: &Tx<'_>, user: &User, token: Option<&str>) -> Result<bool, StoreError> {
    if integer(tx.conn, "SELECT 1 FROM user WHERE user_id = ?1", [user.user_id.as_str()])?.is_some() {
        return Err(StoreError::Exists(user.user_id.to_string()));
    }
    if let Some(token) = token {
        let sql = "UPDATE registration_token SET uses_left = uses_left - 1, completed = completed + 1
                   WHERE token = ?1 AND (uses_left IS NULL OR uses_left > 0)
                       AND (expires_ts IS NULL OR expires_ts > ?2)";
        if tx.conn.prepare_cached(sql)?.execute(params![token, now_ms()])? == 0 {
            return Ok(false);
        }
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO user (user_id, password_hash, admin, deactivated, created_ts, locked, suspended, guest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            user.user_id.as_str(),
            user.password_hash,
            user.admin,
            user.deactivated,
            user.created_ts,
            user.standing.locked,
            user.standing.suspended,
            user.standing.guest
        ])?;
    Ok(true)
}

pub(super) fn user(row: &Row<'_>) -> Result<User, StoreError> {
    Ok(User {
        user_id: rows::id(row, 0)?,
        password_hash: row.get(1)?,
        admin: row.get(2)?,
        deactivated: row.get(3)?,
        erased: row.get(4)?,
        created_ts: row.get(5)?,
        standing: standing_at(row, 6)?,
    })
}

/// What an account can be used for.
pub(super) fn standing(conn: &Connection, user_id: &UserId) -> Result<Standing, StoreError> {
    let mut find = conn.prepare_cached("SELECT locked, suspended, guest FROM user WHERE user_id = ?1")?;
    Ok(one(&mut find, [user_id.as_str()], |row| standing_at(row, 0))?.unwrap_or_default())
}

/// The same from three columns, the first of which is this.
fn standing_at(row: &Row<'_>, column: usize) -> Result<Standing, StoreError> {
    Ok(Standing { locked: row.get(column)?, suspended: row.get(column + 1)?, guest: row.get(column + 2)? })
}

fn set_password(tx: &Tx<'_>, user_id: &UserId, password_hash: &str) -> Result<bool, StoreError> {
    let sql = "UPDATE user SET password_hash = ?2 WHERE user_id = ?1";
    Ok(tx.conn.prepare_cached(sql)?.execute([user_id.as_str(), password_hash])? == 1)
}

/// Those who are not there see only redacted copies of what the user has sent.
fn erase(tx: &mut Tx<'_>, user_id: &UserId) -> Result<(), StoreError> {
    let sql = "UPDATE user SET erased = 1 WHERE user_id = ?1 AND erased = 0";
    if tx.conn.prepare_cached(sql)?.execute([user_id.as_str()])? == 1 {
        tx.effects.erased.push(user_id.clone());
    }
    Ok(())
}

fn deactivate(tx: &mut Tx<'_>, user_id: &UserId) -> Result<bool, StoreError> {
    let sql = "UPDATE user SET deactivated = 1, password_hash = NULL WHERE user_id = ?1 AND deactivated = 0";
    if tx.conn.prepare_cached(sql)?.execute([user_id.as_str()])? == 0 {
        return Ok(false);
    }
    devices::remove(tx, user_id, None)?;
    tx.conn
        .prepare_cached("DELETE FROM backup_key WHERE backup IN (SELECT id FROM key_backup WHERE user_id = ?1)")?
        .execute([user_id.as_str()])?;
    for table in OWN_TABLES {
        tx.conn.prepare_cached(&format!("DELETE FROM {table} WHERE user_id = ?1"))?.execute([user_id.as_str()])?;
    }
    tx.conn.prepare_cached("INSERT OR IGNORE INTO departing (user_id) VALUES (?1)")?.execute([user_id.as_str()])?;
    Ok(true)
}

fn put_filter(tx: &Tx<'_>, user_id: &UserId, filter: &str) -> Result<String, StoreError> {
    let known = "SELECT id FROM filter WHERE user_id = ?1 AND json = ?2";
    if let Some(id) = integer(tx.conn, known, [user_id.as_str(), filter])? {
        return Ok(id.to_string());
    }
    tx.conn
        .prepare_cached("INSERT INTO filter (user_id, json) VALUES (?1, ?2)")?
        .execute([user_id.as_str(), filter])?;
    let id = tx.conn.last_insert_rowid();
    tx.conn
        .prepare_cached(
            "DELETE FROM filter WHERE user_id = ?1 AND id <=
                 (SELECT id FROM filter WHERE user_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![user_id.as_str(), MAX_FILTERS])?;
    Ok(id.to_string())
}

fn client_txn(conn: &Connection, key: &ClientTxnKey) -> Result<Option<ClientTxnState>, StoreError> {
    let mut find = conn.prepare_cached(
        "SELECT event_id, refused, room_id, lpdu_hash FROM client_txn
         WHERE user_id = ?1 AND device_id = ?2 AND scope = ?3 AND txn_id = ?4",
    )?;
    one(&mut find, [key.user_id.as_str(), &key.device_id, &key.scope, &key.txn_id], |row| {
        if row.get_ref(0)?.as_str_or_null().is_ok_and(|event_id| event_id.is_some()) {
            return Ok(ClientTxnState::Done(rows::id(row, 0)?));
        }
        if let Some(reason) = row.get(1)? {
            return Ok(ClientTxnState::Refused(reason));
        }
        Ok(ClientTxnState::Pending { room_id: rows::id(row, 2)?, lpdu_hash: rows::hash(row, 3)? })
    })
}

/// A client's transaction made an event. The first outcome stays.
pub(super) fn finish_txn(conn: &Connection, key: &ClientTxnKey, event_id: &EventId) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO client_txn (user_id, device_id, scope, txn_id, created_ts, event_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (user_id, device_id, scope, txn_id) DO UPDATE
         SET event_id = excluded.event_id, refused = NULL, room_id = NULL, lpdu_hash = NULL WHERE event_id IS NULL",
    )?
    .execute(params![key.user_id.as_str(), key.device_id, key.scope, key.txn_id, now_ms(), event_id.as_str()])?;
    sweep(conn)
}

/// A client's transaction that makes no event; `false`: it was done before.
pub(super) fn note_txn(conn: &Connection, key: &ClientTxnKey) -> Result<bool, StoreError> {
    let new = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO client_txn (user_id, device_id, scope, txn_id, created_ts)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![key.user_id.as_str(), key.device_id, key.scope, key.txn_id, now_ms()])?;
    sweep(conn)?;
    Ok(new > 0)
}

/// A client's transaction waits for the hub to take an LPDU.
pub(super) fn await_txn(
    conn: &Connection,
    key: &ClientTxnKey,
    room_id: &RoomId,
    lpdu_hash: &Hash,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO client_txn (user_id, device_id, scope, txn_id, created_ts, room_id, lpdu_hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (user_id, device_id, scope, txn_id) DO UPDATE
         SET room_id = excluded.room_id, lpdu_hash = excluded.lpdu_hash, refused = NULL WHERE event_id IS NULL",
    )?
    .execute(params![
        key.user_id.as_str(),
        key.device_id,
        key.scope,
        key.txn_id,
        now_ms(),
        room_id.as_str(),
        lpdu_hash
    ])?;
    sweep(conn)
}

/// Answers the transaction that waits for an LPDU.
pub(super) fn answer_txn(conn: &Connection, lpdu_hash: &Hash, event_id: &EventId) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE client_txn SET event_id = ?2, room_id = NULL, lpdu_hash = NULL WHERE lpdu_hash = ?1")?
        .execute(params![lpdu_hash, event_id.as_str()])?;
    Ok(())
}

/// Refuses the transaction that waits for an LPDU.
pub(super) fn refuse_txn(conn: &Connection, lpdu_hash: &Hash, reason: &str) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE client_txn SET refused = ?2, room_id = NULL, lpdu_hash = NULL WHERE lpdu_hash = ?1")?
        .execute(params![lpdu_hash, reason])?;
    Ok(())
}

/// Now and then removes what was decided long ago.
fn sweep(conn: &Connection) -> Result<(), StoreError> {
    if conn.last_insert_rowid() % TXN_SWEEP != 0 {
        return Ok(());
    }
    conn.prepare_cached(
        "DELETE FROM client_txn WHERE lpdu_hash IS NULL AND created_ts < ?1
             AND id IN (SELECT id FROM client_txn ORDER BY id LIMIT ?2)",
    )?
    .execute([now_ms() - TXN_KEPT_MS, 2 * TXN_SWEEP])?;
    Ok(())
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
