//! Other servers' keys.

use async_trait::async_trait;
use axle_protocol::ServerName;
use rusqlite::params;

use super::SqliteStore;
use super::rows::{self, all, integer};
use super::writer::Tx;
use crate::{ServerKeys, StoreError, StoredKey};

/// So many responses of a server are kept, the newest: a server that changes its keys all the time must not fill the
/// disk.
const MAX_RESPONSES: i64 = 64;

#[async_trait]
impl ServerKeys for SqliteStore {
    async fn put_server_keys(
        &self,
        server: &ServerName,
        response: &str,
        valid_until_ts: i64,
        keys: &[StoredKey],
    ) -> Result<(), StoreError> {
        let (server, response, keys) = (server.clone(), response.to_owned(), keys.to_vec());
        self.write(move |tx| {
            keys.iter().try_for_each(|key| put_key(tx, key))?;
            put_response(tx, &server, &response, valid_until_ts, &keys)
        })
        .await
    }

    async fn server_keys(&self, server: &ServerName) -> Result<Vec<StoredKey>, StoreError> {
        let server = server.clone();
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT server, key_id, key, valid_until_ts, expired_ts FROM server_key WHERE server = ?1
                 ORDER BY key_id",
            )?;
            all(&mut find, [server.as_str()], |row| {
                Ok(StoredKey {
                    server: rows::id(row, 0)?,
                    key_id: rows::id(row, 1)?,
                    key: row.get(2)?,
                    valid_until_ts: row.get(3)?,
                    expired_ts: row.get(4)?,
                })
            })
        })
        .await
    }

    async fn key_responses(&self, server: &ServerName) -> Result<Vec<(i64, String)>, StoreError> {
        let server = server.clone();
        self.read(move |conn| {
            let sql = "SELECT valid_until_ts, response FROM key_response WHERE server = ?1 ORDER BY id DESC";
            all(&mut conn.prepare_cached(sql)?, [server.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .await
    }
}

/// A key id never changes its key: what was seen first stays.
fn put_key(tx: &Tx<'_>, key: &StoredKey) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "INSERT INTO server_key (server, key_id, key, valid_until_ts, expired_ts) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET valid_until_ts = max(valid_until_ts, excluded.valid_until_ts),
                 expired_ts = coalesce(excluded.expired_ts, expired_ts) WHERE key = excluded.key",
        )?
        .execute(params![key.server.as_str(), key.key_id.as_str(), key.key, key.valid_until_ts, key.expired_ts])?;
    Ok(())
}

fn put_response(
    tx: &Tx<'_>,
    server: &ServerName,
    response: &str,
    valid_until_ts: i64,
    keys: &[StoredKey],
) -> Result<(), StoreError> {
    let set = key_set(keys);
    let server = server.as_str();
    let newer = "SELECT max(valid_until_ts) FROM key_response WHERE server = ?1 AND key_set = ?2";
    if integer(tx.conn, newer, [server, &set])?.is_some_and(|known| known > valid_until_ts) {
        return Ok(());
    }
    tx.conn.prepare_cached("DELETE FROM key_response WHERE server = ?1 AND key_set = ?2")?.execute([server, &set])?;
    tx.conn
        .prepare_cached("INSERT INTO key_response (server, key_set, valid_until_ts, response) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![server, set, valid_until_ts, response])?;
    tx.conn
        .prepare_cached(
            "DELETE FROM key_response WHERE server = ?1 AND id <=
                 (SELECT id FROM key_response WHERE server = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![server, MAX_RESPONSES])?;
    Ok(())
}

/// What makes two responses have the same keys.
fn key_set(keys: &[StoredKey]) -> String {
    let mut keys: Vec<_> = keys.iter().map(|key| (key.key_id.as_str(), key.key.as_str(), key.expired_ts)).collect();
    keys.sort_unstable();
    format!("{keys:?}")
}
