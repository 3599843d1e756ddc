//! Messages from device to device.

use async_trait::async_trait;
use axle_protocol::UserId;
use rusqlite::params;

use super::SqliteStore;
use super::accounts::note_txn;
use super::rows::{all, integer};
use super::writer::Tx;
use crate::{ClientTxnKey, NewToDevice, StoreError, ToDevice, ToDeviceQueues};

#[async_trait]
impl ToDeviceQueues for SqliteStore {
    async fn send_to_device(&self, txn: ClientTxnKey, messages: Vec<NewToDevice>) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let new = note_txn(tx.conn, &txn)?;
            if new {
                messages.iter().try_for_each(|message| queue(tx, message))?;
            }
            Ok(new)
        })
        .await
    }

    async fn to_device(
        &self,
        user_id: &UserId,
        device_id: &str,
        until: i64,
        limit: usize,
    ) -> Result<Vec<ToDevice>, StoreError> {
        let (user_id, device_id) = (user_id.clone(), device_id.to_owned());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT stream, json FROM to_device WHERE user_id = ?1 AND device_id = ?2 AND stream <= ?3
                 ORDER BY stream LIMIT ?4",
            )?;
            all(&mut find, params![user_id.as_str(), device_id, until, limit], |row| {
                Ok(ToDevice { stream: row.get(0)?, json: row.get(1)? })
            })
        })
        .await
    }

    async fn remove_to_device(&self, user_id: &UserId, device_id: &str, until: i64) -> Result<(), StoreError> {
        let (user_id, device_id) = (user_id.clone(), device_id.to_owned());
        let which = "FROM to_device WHERE user_id = ?1 AND device_id = ?2 AND stream <= ?3";
        let (user, device) = (user_id.clone(), device_id.clone());
        // Most syncs have nothing to remove: they cost no write.
        let some = self.read(move |conn| {
            let sql = format!("SELECT EXISTS (SELECT 1 {which})");
            integer(conn, &sql, params![user.as_str(), device, until])
        });
        if some.await? != Some(1) {
            return Ok(());
        }
        self.write(move |tx| {
            let sql = format!("DELETE {which}");
            tx.conn.prepare_cached(&sql)?.execute(params![user_id.as_str(), device_id, until])?;
            Ok(())
        })
        .await
    }
}

fn queue(tx: &mut Tx<'_>, message: &NewToDevice) -> Result<(), StoreError> {
    let stream = tx.next_stream();
    tx.conn
        .prepare_cached(
            "INSERT INTO to_device (user_id, device_id, stream, json)
             SELECT user_id, device_id, ?3, ?4 FROM device WHERE user_id = ?1 AND device_id = coalesce(?2, device_id)",
        )?
        .execute(params![message.user_id.as_str(), message.device_id, stream, message.json])?;
    // The row is removed soon; its stream position must not be given out a second time.
    tx.conn.prepare_cached("UPDATE stream_floor SET stream = ?1")?.execute([stream])?;
    Ok(())
}
