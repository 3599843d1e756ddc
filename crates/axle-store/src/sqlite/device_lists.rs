//! What servers tell each other of their users' devices.

use async_trait::async_trait;
use axle_protocol::UserId;
use rusqlite::{Row, params};

use super::device_keys::mark_changed;
use super::rows::{self, all, integer, one};
use super::writer::Tx;
use super::{SqliteStore, edus};
use crate::{DeviceLists, MAX_REMOTE_LISTS, NewEdu, RemoteDevices, StoreError, ToldDevices, UntoldDevices};

/// What a list is as of that nobody has asked for: before every member event, so that it is good for nobody.
const NOT_ASKED_FOR: i64 = -1;

#[async_trait]
impl DeviceLists for SqliteStore {
    async fn untold_devices(&self, limit: usize) -> Result<Vec<UntoldDevices>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |conn| {
            let sql = "SELECT user_id, changed, last_id, devices FROM device_list_told WHERE changed > told LIMIT ?1";
            all(&mut conn.prepare_cached(sql)?, [limit], |row| {
                let told = ToldDevices { last_id: row.get(2)?, devices: row.get(3)? };
                Ok(UntoldDevices { user_id: rows::id(row, 0)?, changed: row.get(1)?, told })
            })
        })
        .await
    }

    async fn told_devices(&self, user_id: &UserId) -> Result<ToldDevices, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| {
            let mut find = conn.prepare_cached("SELECT last_id, devices FROM device_list_told WHERE user_id = ?1")?;
            let told = one(&mut find, [user_id.as_str()], |row| {
                Ok(ToldDevices { last_id: row.get(0)?, devices: row.get(1)? })
            })?;
            Ok(told.unwrap_or_default())
        })
        .await
    }

    async fn tell_devices(
        &self,
        user_id: &UserId,
        changed: i64,
        told: ToldDevices,
        new: Vec<NewEdu>,
    ) -> Result<(), StoreError> {
        let user_id = user_id.clone();
        self.write(move |tx| {
            tx.conn
                .prepare_cached("UPDATE device_list_told SET told = ?2, last_id = ?3, devices = ?4 WHERE user_id = ?1")?
                .execute(params![user_id.as_str(), changed, told.last_id, told.devices])?;
            edus::queue(tx.conn, &new)
        })
        .await
    }

    async fn remote_devices(&self, viewer: &UserId, of: Vec<UserId>) -> Result<Vec<RemoteDevices>, StoreError> {
        let viewer = viewer.clone();
        self.read(move |conn| {
            // A member event that is newer may be a return, whatever it says.
            let mut find = conn.prepare_cached(
                "SELECT user_id, stream_id, json FROM remote_device_list l WHERE user_id = ?2 AND EXISTS
                     (SELECT 1 FROM current_state theirs
                      CROSS JOIN current_state mine ON mine.room = theirs.room
                          AND mine.event_type = 'm.room.member' AND mine.state_key = ?1 AND mine.membership = 'join'
                      WHERE theirs.event_type = 'm.room.member' AND theirs.membership = 'join'
                          AND theirs.state_key = ?2 AND theirs.event <= l.as_of AND mine.event <= l.as_of)",
            )?;
            let mut found = Vec::new();
            for user_id in of {
                found.extend(one(&mut find, [viewer.as_str(), user_id.as_str()], remote_devices)?);
            }
            Ok(found)
        })
        .await
    }

    async fn known_remote_devices(&self, of: &UserId) -> Result<Option<RemoteDevices>, StoreError> {
        let of = of.clone();
        self.read(move |conn| {
            let sql = "SELECT user_id, stream_id, json FROM remote_device_list WHERE user_id = ?1";
            one(&mut conn.prepare_cached(sql)?, [of.as_str()], remote_devices)
        })
        .await
    }

    async fn put_remote_devices(&self, devices: RemoteDevices, as_of: i64) -> Result<bool, StoreError> {
        self.write(move |tx| put_remote(tx, &devices, as_of)).await
    }

    async fn remote_devices_changed(&self, of: &UserId, devices: Option<RemoteDevices>) -> Result<bool, StoreError> {
        let of = of.clone();
        self.write(move |tx| remote_changed(tx, &of, devices.as_ref())).await
    }
}

/// The devices of a local user changed: other servers are to be told.
pub(super) fn to_be_told(tx: &Tx<'_>, user_id: &str, stream: i64) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "INSERT INTO device_list_told (user_id, changed, told, last_id, devices) VALUES (?1, ?2, 0, 0, '')
             ON CONFLICT (user_id) DO UPDATE SET changed = excluded.changed",
        )?
        .execute(params![user_id, stream])?;
    Ok(())
}

fn put_remote(tx: &Tx<'_>, devices: &RemoteDevices, as_of: i64) -> Result<bool, StoreError> {
    let user = devices.user_id.as_str();
    let changed = "SELECT stream FROM key_change WHERE user_id = ?1 AND reader = ''";
    if integer(tx.conn, changed, [user])?.is_some_and(|changed| changed > as_of) {
        return Ok(false);
    }
    keep_remote(tx, devices, as_of)?;
    Ok(true)
}

/// Keeps a list in the place of the user's last one, and no more lists than that many.
fn keep_remote(tx: &Tx<'_>, devices: &RemoteDevices, as_of: i64) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO remote_device_list (user_id, as_of, stream_id, json) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![devices.user_id.as_str(), as_of, devices.stream_id, devices.json])?;
    tx.conn
        .prepare_cached(
            "DELETE FROM remote_device_list WHERE user_id IN
                 (SELECT user_id FROM remote_device_list ORDER BY as_of DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([MAX_REMOTE_LISTS as i64])?;
    Ok(())
}

fn remote_changed(tx: &mut Tx<'_>, of: &UserId, devices: Option<&RemoteDevices>) -> Result<bool, StoreError> {
    let is_anywhere = "SELECT EXISTS (SELECT 1 FROM current_state WHERE event_type = 'm.room.member'
                           AND membership = 'join' AND state_key = ?1)";
    let is_anywhere = integer(tx.conn, is_anywhere, [of.as_str()])? == Some(1);
    match devices {
        Some(devices) => {
            let known = tx
                .conn
                .prepare_cached("UPDATE remote_device_list SET stream_id = ?2, json = ?3 WHERE user_id = ?1")?
                .execute(params![of.as_str(), devices.stream_id, devices.json])?;
            if known == 0 && is_anywhere {
                keep_remote(tx, devices, NOT_ASKED_FOR)?;
            }
        }
        None => {
            tx.conn.prepare_cached("DELETE FROM remote_device_list WHERE user_id = ?1")?.execute([of.as_str()])?;
        }
    }
    if is_anywhere {
        mark_changed(tx, of.as_str())?;
    }
    Ok(is_anywhere)
}

fn remote_devices(row: &Row<'_>) -> Result<RemoteDevices, StoreError> {
    Ok(RemoteDevices { user_id: rows::id(row, 0)?, stream_id: row.get(1)?, json: row.get(2)? })
}
