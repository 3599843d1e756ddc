//! Keys that devices publish to be given out.

use std::collections::BTreeMap;

use async_trait::async_trait;
use axle_protocol::UserId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows::{self, all, one};
use super::{SqliteStore, device_keys};
use crate::{
    ClaimedKey, KeyCounts, KeyName, KeyNames, KeyUpload, KeyWithdrawal, NewKey, OneTimeKeys, StoreError, WantedKey,
};

/// The tables, with the column that orders their rows.
const TABLES: [(&str, &str); 2] = [("one_time_key", "id"), ("fallback_key", "algorithm")];
/// The tables with rows that end, with their primary keys.
const ENDING: [(&str, &str); 3] = [
    ("one_time_key", "id"),
    ("fallback_key", "user_id, device_id, algorithm"),
    ("used_key", "user_id, device_id, fingerprint"),
];

#[async_trait]
impl OneTimeKeys for SqliteStore {
    async fn key_counts(&self, user_id: &UserId, device_id: &str, now: i64) -> Result<KeyCounts, StoreError> {
        let (user_id, device_id) = (user_id.clone(), device_id.to_owned());
        self.read(move |conn| counts(conn, &user_id, &device_id, now)).await
    }

    async fn key_names(&self, user_id: &UserId, device_id: &str, now: i64) -> Result<KeyNames, StoreError> {
        let (user_id, device_id) = (user_id.clone(), device_id.to_owned());
        self.read(move |conn| {
            let [one_time, fallback] = TABLES.map(|(table, order)| {
                let sql = format!(
                    "SELECT algorithm, key_id FROM {table}
                     WHERE user_id = ?1 AND device_id = ?2 AND (expires IS NULL OR expires > ?3) ORDER BY {order}"
                );
                all(&mut conn.prepare_cached(&sql)?, params![user_id.as_str(), device_id, now], |row| {
                    Ok(KeyName { algorithm: row.get(0)?, key_id: row.get(1)? })
                })
            });
            Ok(KeyNames { one_time: one_time?, fallback: fallback? })
        })
        .await
    }

    async fn claim_keys(&self, wanted: Vec<WantedKey>, now: i64) -> Result<Vec<ClaimedKey>, StoreError> {
        self.write(move |tx| {
            let claimed = wanted.iter().map(|wanted| claim(tx.conn, wanted, now));
            Ok(claimed.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        })
        .await
    }

    async fn withdraw_keys(&self, withdrawal: KeyWithdrawal) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let KeyWithdrawal { user_id, device_id, identity, one_time, fallback } = &withdrawal;
            for ((table, _), names) in TABLES.into_iter().zip([one_time, fallback]) {
                let sql = format!(
                    "DELETE FROM {table} WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3 AND key_id = ?4"
                );
                let mut remove = tx.conn.prepare_cached(&sql)?;
                for KeyName { algorithm, key_id } in names {
                    remove.execute([user_id.as_str(), device_id, algorithm, key_id])?;
                }
            }
            if *identity { device_keys::remove(tx, user_id, Some(device_id)) } else { Ok(false) }
        })
        .await
    }

    async fn remove_expired_keys(&self, now: i64, limit: usize) -> Result<usize, StoreError> {
        self.write(move |tx| {
            let mut removed = 0;
            for (table, key) in ENDING {
                let sql = format!(
                    "DELETE FROM {table} WHERE ({key}) IN
                         (SELECT {key} FROM {table} WHERE expires IS NOT NULL AND expires <= ?1 LIMIT ?2)"
                );
                let left = limit.saturating_sub(removed);
                let left = i64::try_from(left).unwrap_or(i64::MAX);
                removed += tx.conn.prepare_cached(&sql)?.execute([now, left])?;
            }
            Ok(removed)
        })
        .await
    }
}

/// Stores the keys of an upload that are to be given out.
pub(super) fn upload(conn: &Connection, upload: &KeyUpload) -> Result<(), StoreError> {
    let (user_id, device_id) = (upload.user_id.as_str(), upload.device_id.as_str());
    if let Some(prefix) = &upload.forget {
        for (table, _) in TABLES {
            let sql = format!(
                "DELETE FROM {table} WHERE user_id = ?1 AND device_id = ?2 AND substr(algorithm, 1, length(?3)) = ?3"
            );
            conn.prepare_cached(&sql)?.execute([user_id, device_id, prefix])?;
        }
    }
    for key in &upload.one_time_keys {
        put_one_time(conn, user_id, device_id, key)?;
    }
    for NewKey { algorithm, key_id, json, end } in &upload.fallback_keys {
        let expires = end.as_ref().map(|end| end.expires);
        // The same key again is as used as it was.
        conn.prepare_cached(
            "INSERT INTO fallback_key (user_id, device_id, algorithm, key_id, json, used, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)
             ON CONFLICT (user_id, device_id, algorithm) DO UPDATE
             SET key_id = excluded.key_id, json = excluded.json, used = 0, expires = excluded.expires
             WHERE key_id <> excluded.key_id OR json <> excluded.json",
        )?
        .execute(params![user_id, device_id, algorithm, key_id, json, expires])?;
    }
    Ok(())
}

fn put_one_time(conn: &Connection, user_id: &str, device_id: &str, key: &NewKey) -> Result<(), StoreError> {
    let NewKey { algorithm, key_id, json, end } = key;
    let (expires, fingerprint) = end.as_ref().map(|end| (end.expires, &end.fingerprint)).unzip();
    let put = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO one_time_key (user_id, device_id, algorithm, key_id, json, expires, fingerprint)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS
                 (SELECT 1 FROM used_key WHERE user_id = ?1 AND device_id = ?2 AND fingerprint = ?7)",
        )?
        .execute(params![user_id, device_id, algorithm, key_id, json, expires, fingerprint])?;
    if put == 1 {
        return Ok(());
    }
    let known: Option<String> = conn
        .prepare_cached(
            "SELECT json FROM one_time_key WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3 AND key_id = ?4",
        )?
        .query_row([user_id, device_id, algorithm, key_id], |row| row.get(0))
        .optional()?;
    match known {
        Some(known) if known != *json => Err(StoreError::Exists(format!("{algorithm}:{key_id}"))),
        _ => Ok(()),
    }
}

fn counts(conn: &Connection, user_id: &UserId, device_id: &str, now: i64) -> Result<KeyCounts, StoreError> {
    let which = params![user_id.as_str(), device_id, now];
    let mut left = conn.prepare_cached(
        "SELECT algorithm, count(*) FROM one_time_key
         WHERE user_id = ?1 AND device_id = ?2 AND (expires IS NULL OR expires > ?3) GROUP BY algorithm",
    )?;
    let one_time = all(&mut left, which, |row| Ok((row.get(0)?, rows::count(row, 1)?)))?;
    let mut unused = conn.prepare_cached(
        "SELECT algorithm FROM fallback_key
         WHERE user_id = ?1 AND device_id = ?2 AND used = 0 AND (expires IS NULL OR expires > ?3)",
    )?;
    let unused_fallback = all(&mut unused, which, |row| Ok(row.get(0)?))?;
    Ok(KeyCounts { one_time: BTreeMap::from_iter(one_time), unused_fallback })
}

/// Takes all keys for given out.
pub(super) fn use_all(conn: &Connection) -> Result<(), StoreError> {
    conn.execute(
        "INSERT OR IGNORE INTO used_key (user_id, device_id, fingerprint, expires)
         SELECT user_id, device_id, fingerprint, expires FROM one_time_key
         WHERE fingerprint IS NOT NULL AND expires IS NOT NULL",
        [],
    )?;
    conn.execute("DELETE FROM one_time_key", [])?;
    conn.execute("UPDATE fallback_key SET used = 1", [])?;
    Ok(())
}

fn claim(conn: &Connection, wanted: &WantedKey, now: i64) -> Result<Option<ClaimedKey>, StoreError> {
    let WantedKey { user_id, device_id, algorithm } = wanted;
    let which = params![user_id.as_str(), device_id, algorithm, now];
    let mut oldest = conn.prepare_cached(
        "DELETE FROM one_time_key WHERE id =
             (SELECT id FROM one_time_key WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3
                  AND (expires IS NULL OR expires > ?4) ORDER BY id LIMIT 1)
         RETURNING key_id, json, fingerprint, expires",
    )?;
    let oldest = one(&mut oldest, which, |row| {
        let end: (Option<String>, Option<i64>) = (row.get(2)?, row.get(3)?);
        Ok((row.get(0)?, row.get(1)?, end))
    })?;
    if let Some((key_id, json, end)) = oldest {
        if let (Some(fingerprint), Some(expires)) = end {
            conn.prepare_cached(
                "INSERT OR IGNORE INTO used_key (user_id, device_id, fingerprint, expires) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![user_id.as_str(), device_id, fingerprint, expires])?;
        }
        return Ok(Some(ClaimedKey { wanted: wanted.clone(), key_id, json }));
    }
    let mut fallback = conn.prepare_cached(
        "UPDATE fallback_key SET used = 1 WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3
             AND (expires IS NULL OR expires > ?4)
         RETURNING key_id, json",
    )?;
    one(&mut fallback, which, |row| Ok(ClaimedKey { wanted: wanted.clone(), key_id: row.get(0)?, json: row.get(1)? }))
}
