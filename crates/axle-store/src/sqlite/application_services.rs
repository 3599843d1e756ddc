//! Application services: how far each has been told, and what happened, whatever the room.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};
use rusqlite::{Connection, params};

use super::rows::{self, EVENT_COLUMNS, all, one};
use super::{SqliteStore, append, log, out_of_room, receipts};
use crate::{ApplicationServices, OutOfRoom, Receipt, ServiceProgress, StoreError, StoredEvent, ToDevice};

#[async_trait]
impl ApplicationServices for SqliteStore {
    async fn service_progress(&self, service: &str) -> Result<ServiceProgress, StoreError> {
        let service = service.to_owned();
        self.write(move |tx| {
            if let Some(known) = progress(tx.conn, &service)? {
                return Ok(known);
            }
            let first = ServiceProgress { delivered: append::last_stream(tx.conn)?, txn: 0, until: None };
            put_progress(tx.conn, &service, first)?;
            Ok(first)
        })
        .await
    }

    async fn put_service_progress(&self, service: &str, progress: ServiceProgress) -> Result<(), StoreError> {
        let service = service.to_owned();
        self.write(move |tx| put_progress(tx.conn, &service, progress)).await
    }

    async fn events_in_stream(&self, after: i64, until: i64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |conn| {
            let sql = format!(
                "SELECT {EVENT_COLUMNS}, r.room_id, r.version FROM event e NOT INDEXED
                 CROSS JOIN room r ON r.id = e.room
                 WHERE e.stream > ?1 AND e.stream <= ?2 ORDER BY e.stream LIMIT ?3"
            );
            all(&mut conn.prepare_cached(&sql)?, [after, until, limit], log::with_room)
        })
        .await
    }

    async fn out_of_room_in_stream(&self, after: i64, until: i64, limit: usize) -> Result<Vec<OutOfRoom>, StoreError> {
        self.read(move |conn| out_of_room::in_stream(conn, after, until, limit)).await
    }

    async fn receipts_in_stream(
        &self,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<(RoomId, Receipt)>, StoreError> {
        self.read(move |conn| receipts::in_stream(conn, after, until, limit)).await
    }

    async fn to_device_in_stream(
        &self,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<(UserId, String, ToDevice)>, StoreError> {
        let before_last = i64::try_from(limit.saturating_sub(1)).unwrap_or(i64::MAX);
        self.read(move |conn| {
            // One message for all devices of a user is at one place.
            let mut find = conn.prepare_cached(
                "SELECT user_id, device_id, stream, json FROM to_device
                 WHERE stream > ?1 AND stream <= min(?2, coalesce(
                     (SELECT stream FROM to_device WHERE stream > ?1 ORDER BY stream LIMIT 1 OFFSET ?3), ?2))
                 ORDER BY stream, user_id, device_id",
            )?;
            all(&mut find, [after, until, before_last], |row| {
                Ok((rows::id(row, 0)?, row.get(1)?, ToDevice { stream: row.get(2)?, json: row.get(3)? }))
            })
        })
        .await
    }

    async fn key_changes_in_stream(
        &self,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<(UserId, i64)>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT user_id, stream FROM key_change WHERE reader = '' AND stream > ?1 AND stream <= ?2
                 ORDER BY stream LIMIT ?3",
            )?;
            all(&mut find, [after, until, limit], |row| Ok((rows::id(row, 0)?, row.get(1)?)))
        })
        .await
    }

    async fn set_listed_on_network(
        &self,
        service: &str,
        network: &str,
        room_id: &RoomId,
        listed: bool,
    ) -> Result<(), StoreError> {
        let key = [service.to_owned(), network.to_owned(), room_id.to_string()];
        let sql = match listed {
            true => "INSERT OR IGNORE INTO network_room (service, network, room_id) VALUES (?1, ?2, ?3)",
            false => "DELETE FROM network_room WHERE service = ?1 AND network = ?2 AND room_id = ?3",
        };
        self.write(move |tx| {
            tx.conn.prepare_cached(sql)?.execute([&key[0], &key[1], &key[2]])?;
            Ok(())
        })
        .await
    }

    async fn rooms_on_network(
        &self,
        service: &str,
        network: &str,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError> {
        let (service, network) = (service.to_owned(), network.to_owned());
        let after = after.map(RoomId::to_string).unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT room_id FROM network_room WHERE service = ?1 AND network = ?2 AND room_id > ?3
                 ORDER BY room_id LIMIT ?4",
            )?;
            all(&mut find, params![service, network, after, limit], |row| rows::id(row, 0))
        })
        .await
    }

    async fn rooms_on_networks_only(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<RoomId>, StoreError> {
        let after = after.map(RoomId::to_string).unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT DISTINCT n.room_id FROM network_room n
                 WHERE n.room_id > ?1 AND NOT EXISTS (
                     SELECT 1 FROM listed_room l WHERE l.room = (SELECT id FROM room r WHERE r.room_id = n.room_id))
                 ORDER BY n.room_id LIMIT ?2",
            )?;
            all(&mut find, params![after, limit], |row| rows::id(row, 0))
        })
        .await
    }
}

fn progress(conn: &Connection, service: &str) -> Result<Option<ServiceProgress>, StoreError> {
    let mut find = conn.prepare_cached("SELECT delivered, txn, until FROM application_service WHERE id = ?1")?;
    one(&mut find, [service], |row| {
        Ok(ServiceProgress { delivered: row.get(0)?, txn: row.get(1)?, until: row.get(2)? })
    })
}

fn put_progress(conn: &Connection, service: &str, progress: ServiceProgress) -> Result<(), StoreError> {
    let ServiceProgress { delivered, txn, until } = progress;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO application_service (id, delivered, txn, until) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![service, delivered, txn, until])?;
    Ok(())
}
