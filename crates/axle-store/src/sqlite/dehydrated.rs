//! Dehydrated devices.

use async_trait::async_trait;
use axle_protocol::UserId;
use rusqlite::{Connection, params};

use super::rows::{integer, one};
use super::{SqliteStore, device_keys, devices};
use crate::{DehydratedDevice, DehydratedDevices, Device, KeyUpload, StoreError};

#[async_trait]
impl DehydratedDevices for SqliteStore {
    async fn put_dehydrated_device(&self, device: Device, data: &str, keys: KeyUpload) -> Result<bool, StoreError> {
        let data = data.to_owned();
        self.write(move |tx| {
            let user_id = &device.user_id;
            let known = find(tx.conn, user_id)?.map(|known| known.device_id);
            let is_known = known.as_ref() == Some(&device.device_id);
            let taken = "SELECT 1 FROM device WHERE user_id = ?1 AND device_id = ?2";
            if !is_known && integer(tx.conn, taken, [user_id.as_str(), &device.device_id])?.is_some() {
                return Err(StoreError::Exists(device.device_id.clone()));
            }
            if let Some(known) = known {
                devices::remove(tx, user_id, Some(&known))?;
            }
            if !devices::put(tx, &device)? {
                return Ok(false);
            }
            tx.conn
                .prepare_cached("INSERT INTO dehydrated_device (user_id, device_id, data) VALUES (?1, ?2, ?3)")?
                .execute(params![user_id.as_str(), device.device_id, data])?;
            device_keys::upload_keys(tx, &keys)?;
            Ok(true)
        })
        .await
    }

    async fn dehydrated_device(&self, user_id: &UserId) -> Result<Option<DehydratedDevice>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| find(conn, &user_id)).await
    }
}

fn find(conn: &Connection, user_id: &UserId) -> Result<Option<DehydratedDevice>, StoreError> {
    let mut find = conn.prepare_cached("SELECT device_id, data FROM dehydrated_device WHERE user_id = ?1")?;
    one(&mut find, [user_id.as_str()], |row| Ok(DehydratedDevice { device_id: row.get(0)?, data: row.get(1)? }))
}
