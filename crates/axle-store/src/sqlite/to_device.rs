//! Messages from device to device.

use async_trait::async_trait;
use axle_protocol::{ServerName, UserId};
use rusqlite::params;

use super::accounts::note_txn;
use super::rows::{all, integer};
use super::writer::Tx;
use super::{SqliteStore, edus};
use crate::{
    ClientTxnKey, MAX_RECEIVED_TO_DEVICE, NewEdu, NewToDevice, ReceivedToDevice, StoreError, ToDevice, ToDeviceQueues,
};

/// Ids of messages that are remembered of each origin: more than the transactions that it may repeat have.
const KEPT_IDS: i64 = 1_000;

#[async_trait]
impl ToDeviceQueues for SqliteStore {
    async fn send_to_device(
        &self,
        txn: ClientTxnKey,
        messages: Vec<NewToDevice>,
        new_edus: Vec<NewEdu>,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let new = note_txn(tx.conn, &txn)?;
            if new {
                messages.iter().try_for_each(|message| queue(tx, message, usize::MAX))?;
                edus::queue(tx.conn, &new_edus)?;
            }
            Ok(new)
        })
        .await
    }

    async fn receive_to_device(&self, origin: &ServerName, received: Vec<ReceivedToDevice>) -> Result<(), StoreError> {
        let origin = origin.clone();
        self.write(move |tx| receive(tx, &origin, &received)).await
    }

    async fn to_device(
        &self,
        user_id: &UserId,
        device_id: &str,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<ToDevice>, StoreError> {
        if self.inner.shared.lately.nothing_for(user_id, after) {
            return Ok(Vec::new());
        }
        let (user_id, device_id) = (user_id.clone(), device_id.to_owned());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT stream, json FROM to_device
                 WHERE user_id = ?1 AND device_id = ?2 AND stream > ?3 AND stream <= ?4 ORDER BY stream LIMIT ?5",
            )?;
            all(&mut find, params![user_id.as_str(), device_id, after, until, limit], |row| {
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

fn receive(tx: &mut Tx<'_>, origin: &ServerName, received: &[ReceivedToDevice]) -> Result<(), StoreError> {
    for ReceivedToDevice { message_id, messages } in received {
        if let Some(message_id) = message_id {
            let note = "INSERT OR IGNORE INTO to_device_seen (origin, message_id) VALUES (?1, ?2)";
            if tx.conn.prepare_cached(note)?.execute([origin.as_str(), message_id])? == 0 {
                continue;
            }
        }
        messages.iter().try_for_each(|message| queue(tx, message, MAX_RECEIVED_TO_DEVICE))?;
    }
    tx.conn
        .prepare_cached(
            "DELETE FROM to_device_seen WHERE origin = ?1 AND id <=
                 (SELECT id FROM to_device_seen WHERE origin = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![origin.as_str(), KEPT_IDS])?;
    Ok(())
}

/// Queues a message for those devices for which fewer than so many wait.
fn queue(tx: &mut Tx<'_>, message: &NewToDevice, most: usize) -> Result<(), StoreError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let stream = tx.next_stream();
    tx.conn
        .prepare_cached(
            "INSERT INTO to_device (user_id, device_id, stream, json)
             SELECT user_id, device_id, ?3, ?4 FROM device d
             WHERE user_id = ?1 AND device_id = coalesce(?2, device_id) AND (?5 = 9223372036854775807 OR ?5 >
                 (SELECT count(*) FROM (SELECT 1 FROM to_device w
                      WHERE w.user_id = d.user_id AND w.device_id = d.device_id LIMIT ?5)))",
        )?
        .execute(params![message.user_id.as_str(), message.device_id, stream, message.json, most])?;
    // The row is removed soon; its stream position must not be given out a second time.
    tx.conn.prepare_cached("UPDATE stream_floor SET stream = ?1")?.execute([stream])?;
    tx.effects.users.push((message.user_id.clone(), stream));
    Ok(())
}
