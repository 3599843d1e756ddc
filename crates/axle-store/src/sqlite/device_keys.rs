//! Published keys of local users.

use async_trait::async_trait;
use axle_protocol::UserId;
use rusqlite::{Connection, params};

use super::error::damaged;
use super::rows::{self, all, integer, one};
use super::writer::Tx;
use super::{SqliteStore, device_lists, one_time_keys};
use crate::{CrossSigningKey, DeviceKeys, KeySignature, KeyUpload, KeyUsage, PublishedDevice, StoreError, UserKeys};

/// `key_change.reader` of what everyone may see.
const EVERYONE: &str = "";
/// Tables with rows of a device, all keyed by `user_id` and `device_id`.
const DEVICE_TABLES: [&str; 3] = ["device_key", "one_time_key", "fallback_key"];

/// Whether user `?1` and another are both in a room, as SQL; the other's id goes between.
const SHARE_A_ROOM: [&str; 2] = [
    "EXISTS (SELECT 1 FROM current_state theirs
         CROSS JOIN current_state mine ON mine.room = theirs.room AND mine.event_type = 'm.room.member'
             AND mine.state_key = ?1 AND mine.membership = 'join'
         WHERE theirs.event_type = 'm.room.member' AND theirs.membership = 'join' AND theirs.state_key = ",
    ")",
];

#[async_trait]
impl DeviceKeys for SqliteStore {
    async fn upload_keys(&self, upload: KeyUpload) -> Result<bool, StoreError> {
        self.write(move |tx| upload_keys(tx, &upload)).await
    }

    async fn user_keys(&self, user_ids: Vec<UserId>, viewer: &UserId) -> Result<Vec<UserKeys>, StoreError> {
        let viewer = viewer.clone();
        self.read(move |conn| user_ids.into_iter().map(|user_id| user_keys(conn, user_id, &viewer)).collect()).await
    }

    async fn put_cross_signing_keys(&self, user_id: &UserId, keys: Vec<CrossSigningKey>) -> Result<(), StoreError> {
        let user_id = user_id.clone();
        self.write(move |tx| {
            forget_unsigned(tx, &user_id, &keys)?;
            keys.iter().try_for_each(|key| put_cross_signing_key(tx, &user_id, key))?;
            let are_private = keys.iter().all(|key| key.usage == KeyUsage::UserSigning);
            changed(tx, user_id.as_str(), if are_private { user_id.as_str() } else { EVERYONE })
        })
        .await
    }

    async fn put_key_signatures(&self, signatures: Vec<KeySignature>) -> Result<(), StoreError> {
        self.write(move |tx| signatures.iter().try_for_each(|signature| put_signature(tx, signature))).await
    }

    async fn key_changes(&self, user_id: &UserId, after: i64, until: i64) -> Result<Vec<UserId>, StoreError> {
        if self.inner.shared.lately.no_key_changes(after) {
            return Ok(Vec::new());
        }
        let user_id = user_id.clone();
        self.read(move |conn| {
            let [before, end] = SHARE_A_ROOM;
            let sql = format!(
                "SELECT DISTINCT k.user_id FROM key_change k WHERE k.stream > ?2 AND k.stream <= ?3
                     AND (k.reader = ?1 OR (k.reader = '' AND (k.user_id = ?1 OR {before} k.user_id {end})))"
            );
            all(&mut conn.prepare_cached(&sql)?, params![user_id.as_str(), after, until], |row| rows::id(row, 0))
        })
        .await
    }

    async fn sharing_rooms(&self, user_id: &UserId, others: Vec<UserId>) -> Result<Vec<UserId>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| {
            let [before, end] = SHARE_A_ROOM;
            let mut share = conn.prepare_cached(&format!("SELECT {before} ?2 {end}"))?;
            let mut found = Vec::new();
            for other in others {
                if share.query_row([user_id.as_str(), other.as_str()], |row| row.get(0))? {
                    found.push(other);
                }
            }
            Ok(found)
        })
        .await
    }
}

/// Forgets the keys of a device, or of all of the user's if `device_id` is `None`, but not which were given out: one with
/// the same id may come back with the same keys. Returns whether identity keys were among them.
pub(super) fn remove(tx: &mut Tx<'_>, user_id: &UserId, device_id: Option<&str>) -> Result<bool, StoreError> {
    let which = params![user_id.as_str(), device_id];
    tx.conn
        .prepare_cached(
            "DELETE FROM key_signature WHERE target_user = ?1 AND target IN
                 (SELECT device_id FROM device_key WHERE user_id = ?1 AND device_id = coalesce(?2, device_id))",
        )?
        .execute(which)?;
    let mut published = false;
    for table in DEVICE_TABLES {
        let sql = format!("DELETE FROM {table} WHERE user_id = ?1 AND device_id = coalesce(?2, device_id)");
        let removed = tx.conn.prepare_cached(&sql)?.execute(which)?;
        published |= table == "device_key" && removed > 0;
    }
    if published {
        changed(tx, user_id.as_str(), EVERYONE)?;
    }
    Ok(published)
}

/// A device got another name, which is told along with its keys.
pub(super) fn renamed(tx: &mut Tx<'_>, user_id: &UserId, device_id: &str) -> Result<(), StoreError> {
    let has_keys = "SELECT 1 FROM device_key WHERE user_id = ?1 AND device_id = ?2";
    match integer(tx.conn, has_keys, [user_id.as_str(), device_id])? {
        Some(_) => changed(tx, user_id.as_str(), EVERYONE),
        None => Ok(()),
    }
}

pub(super) fn upload_keys(tx: &mut Tx<'_>, upload: &KeyUpload) -> Result<bool, StoreError> {
    one_time_keys::upload(tx.conn, upload)?;
    let (user_id, device_id) = (upload.user_id.as_str(), upload.device_id.as_str());
    match &upload.device_keys {
        Some(json) => put_device_keys(tx, user_id, device_id, json),
        None => Ok(false),
    }
}

fn put_device_keys(tx: &mut Tx<'_>, user_id: &str, device_id: &str, json: &str) -> Result<bool, StoreError> {
    let put = tx
        .conn
        .prepare_cached(
            "INSERT INTO device_key (user_id, device_id, json) VALUES (?1, ?2, ?3)
             ON CONFLICT (user_id, device_id) DO UPDATE SET json = excluded.json WHERE json <> excluded.json",
        )?
        .execute([user_id, device_id, json])?;
    if put == 0 {
        return Ok(false);
    }
    tx.conn
        .prepare_cached("DELETE FROM key_signature WHERE target_user = ?1 AND target = ?2")?
        .execute([user_id, device_id])?;
    changed(tx, user_id, EVERYONE)?;
    Ok(true)
}

fn user_keys(conn: &Connection, user_id: UserId, viewer: &UserId) -> Result<UserKeys, StoreError> {
    let mut devices = conn.prepare_cached(
        "SELECT k.device_id, k.json, d.display_name FROM device_key k
         LEFT JOIN device d ON d.user_id = k.user_id AND d.device_id = k.device_id
         WHERE k.user_id = ?1 ORDER BY k.device_id",
    )?;
    let devices = all(&mut devices, [user_id.as_str()], |row| {
        Ok(PublishedDevice { device_id: row.get(0)?, json: row.get(1)?, display_name: row.get(2)? })
    })?;
    let mut keys = conn.prepare_cached("SELECT usage, public_key, json FROM cross_signing_key WHERE user_id = ?1")?;
    let mut cross_signing = all(&mut keys, [user_id.as_str()], |row| {
        Ok(CrossSigningKey {
            usage: usage(row.get_ref(0)?.as_str().map_err(damaged)?)?,
            public_key: row.get(1)?,
            json: row.get(2)?,
        })
    })?;
    cross_signing.sort_by_key(|key| key.usage);
    let mut signatures = conn.prepare_cached(
        "SELECT signer, target, key_id, signature FROM key_signature WHERE target_user = ?1 AND signer IN (?1, ?2)
         ORDER BY signer, target, key_id",
    )?;
    let signatures = all(&mut signatures, [user_id.as_str(), viewer.as_str()], |row| {
        Ok(KeySignature {
            target_user: user_id.clone(),
            signer: rows::id(row, 0)?,
            target: row.get(1)?,
            key_id: row.get(2)?,
            signature: row.get(3)?,
        })
    })?;
    Ok(UserKeys { user_id, devices, cross_signing, signatures })
}

/// Forgets the keys that another master key than that among these has signed.
fn forget_unsigned(tx: &Tx<'_>, user_id: &UserId, new: &[CrossSigningKey]) -> Result<(), StoreError> {
    let Some(master) = new.iter().find(|key| key.usage == KeyUsage::Master) else { return Ok(()) };
    tx.conn
        .prepare_cached(
            "DELETE FROM cross_signing_key WHERE user_id = ?1 AND usage <> ?2 AND EXISTS
                 (SELECT 1 FROM cross_signing_key known
                  WHERE known.user_id = ?1 AND known.usage = ?2 AND known.public_key <> ?3)",
        )?
        .execute([user_id.as_str(), KeyUsage::Master.as_str(), &master.public_key])?;
    Ok(())
}

fn put_cross_signing_key(tx: &Tx<'_>, user_id: &UserId, key: &CrossSigningKey) -> Result<(), StoreError> {
    let which = [user_id.as_str(), key.usage.as_str()];
    let mut known =
        tx.conn.prepare_cached("SELECT public_key FROM cross_signing_key WHERE user_id = ?1 AND usage = ?2")?;
    let known: Option<String> = one(&mut known, which, |row| Ok(row.get(0)?))?;
    if let Some(known) = known.filter(|known| *known != key.public_key) {
        tx.conn
            .prepare_cached("DELETE FROM key_signature WHERE target_user = ?1 AND target = ?2")?
            .execute([user_id.as_str(), &known])?;
    }
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO cross_signing_key (user_id, usage, public_key, json) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute([user_id.as_str(), key.usage.as_str(), &key.public_key, &key.json])?;
    Ok(())
}

fn put_signature(tx: &mut Tx<'_>, signature: &KeySignature) -> Result<(), StoreError> {
    let (target_user, signer) = (signature.target_user.as_str(), signature.signer.as_str());
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO key_signature (target_user, signer, target, key_id, signature)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute([target_user, signer, &signature.target, &signature.key_id, &signature.signature])?;
    changed(tx, target_user, if target_user == signer { EVERYONE } else { signer })
}

/// Marks what a local user publishes as changed now. What everyone may see, other servers are to be told.
fn changed(tx: &mut Tx<'_>, user_id: &str, reader: &str) -> Result<(), StoreError> {
    let stream = mark(tx, user_id, reader)?;
    if reader == EVERYONE { device_lists::to_be_told(tx, user_id, stream) } else { Ok(()) }
}

/// Marks what another server's user publishes as changed now.
pub(super) fn mark_changed(tx: &mut Tx<'_>, user_id: &str) -> Result<(), StoreError> {
    mark(tx, user_id, EVERYONE)?;
    Ok(())
}

fn mark(tx: &mut Tx<'_>, user_id: &str, reader: &str) -> Result<i64, StoreError> {
    let stream = tx.next_stream();
    tx.conn
        .prepare_cached("INSERT OR REPLACE INTO key_change (user_id, reader, stream) VALUES (?1, ?2, ?3)")?
        .execute(params![user_id, reader, stream])?;
    // The row is replaced one day; its stream position must not be given out a second time.
    tx.conn.prepare_cached("UPDATE stream_floor SET stream = ?1")?.execute([stream])?;
    tx.effects.keys = stream;
    Ok(stream)
}

fn usage(text: &str) -> Result<KeyUsage, StoreError> {
    let found = KeyUsage::ALL.into_iter().find(|usage| usage.as_str() == text);
    found.ok_or_else(|| damaged(format!("key usage {text} is unknown")))
}
