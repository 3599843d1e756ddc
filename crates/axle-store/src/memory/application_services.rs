//! Application services: how far each has been told, and what happened, whatever the room.

use std::collections::BTreeSet;

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};

use super::MemoryStore;
use crate::{ApplicationServices, OutOfRoom, Receipt, ReceiptType, ServiceProgress, StoreError, StoredEvent, ToDevice};

#[async_trait]
impl ApplicationServices for MemoryStore {
    async fn service_progress(&self, service: &str) -> Result<ServiceProgress, StoreError> {
        let service = service.to_owned();
        self.write(move |data| {
            let first = ServiceProgress { delivered: data.stream, txn: 0, until: None };
            Ok(*data.service_progress.entry(service).or_insert(first))
        })
        .await
    }

    async fn put_service_progress(&self, service: &str, progress: ServiceProgress) -> Result<(), StoreError> {
        let service = service.to_owned();
        self.write(move |data| {
            data.service_progress.insert(service, progress);
            Ok(())
        })
        .await
    }

    async fn events_in_stream(&self, after: i64, until: i64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let inner = self.lock();
        let streams = inner.data.by_stream.iter().filter(|(stream, _)| after < **stream && **stream <= until);
        Ok(streams.filter_map(|(_, id)| inner.data.event(id).cloned()).take(limit).collect())
    }

    async fn out_of_room_in_stream(&self, after: i64, until: i64, limit: usize) -> Result<Vec<OutOfRoom>, StoreError> {
        let inner = self.lock();
        let entries = inner.data.out_of_room.values();
        let mut found: Vec<_> = entries.filter(|it| after < it.stream && it.stream <= until).cloned().collect();
        found.sort_by_key(|entry| entry.stream);
        found.truncate(limit);
        Ok(found)
    }

    async fn receipts_in_stream(
        &self,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<(RoomId, Receipt)>, StoreError> {
        let inner = self.lock();
        let is_told = |receipt: &Receipt| {
            receipt.receipt_type == ReceiptType::Read && after < receipt.stream && receipt.stream <= until
        };
        let mut found = Vec::new();
        for (room_id, receipts) in &inner.data.receipts {
            let told = receipts.iter().filter(|receipt| is_told(receipt));
            found.extend(told.map(|receipt| (room_id.clone(), receipt.clone())));
        }
        found.sort_by_key(|(_, receipt)| receipt.stream);
        found.truncate(limit);
        Ok(found)
    }

    async fn to_device_in_stream(
        &self,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<(UserId, String, ToDevice)>, StoreError> {
        let locked = self.lock();
        let mut found: Vec<(UserId, String, ToDevice)> = Vec::new();
        for ((user_id, device_id), queue) in &locked.data.to_device {
            let ready = queue.iter().filter(|message| after < message.stream && message.stream <= until);
            found.extend(ready.map(|message| (user_id.clone(), device_id.clone(), message.clone())));
        }
        found.sort_by(|(one, device, message), (other, other_device, later)| {
            (message.stream, one, device).cmp(&(later.stream, other, other_device))
        });
        if let Some(last) = limit.checked_sub(1).and_then(|last| found.get(last)).map(|(_, _, last)| last.stream) {
            found.retain(|(_, _, message)| message.stream <= last);
        }
        Ok(found)
    }

    async fn key_changes_in_stream(
        &self,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<(UserId, i64)>, StoreError> {
        let locked = self.lock();
        let mut found = locked.data.e2ee.public_changes(after, until);
        found.sort_by_key(|(_, stream)| *stream);
        found.truncate(limit);
        Ok(found)
    }

    async fn set_listed_on_network(
        &self,
        service: &str,
        network: &str,
        room_id: &RoomId,
        listed: bool,
    ) -> Result<(), StoreError> {
        let entry = (service.to_owned(), network.to_owned(), room_id.clone());
        self.write(move |data| {
            match listed {
                true => data.network_rooms.insert(entry),
                false => data.network_rooms.remove(&entry),
            };
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
        let inner = self.lock();
        let rooms = inner.data.network_rooms.iter().filter(|(of, on, _)| of == service && on == network);
        let rooms = rooms.map(|(.., room_id)| room_id).filter(|room_id| after.is_none_or(|after| *room_id > after));
        Ok(rooms.take(limit).cloned().collect())
    }

    async fn rooms_on_networks_only(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<RoomId>, StoreError> {
        let inner = self.lock();
        let rooms: BTreeSet<&RoomId> = inner.data.network_rooms.iter().map(|(.., room_id)| room_id).collect();
        let wanted = |room_id: &&RoomId| {
            after.is_none_or(|after| *room_id > after) && !inner.data.listed.contains(room_id.as_str())
        };
        Ok(rooms.into_iter().filter(wanted).take(limit).cloned().collect())
    }
}
