//! How far the users of a room have read.

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};

use super::MemoryStore;
use super::data::Data;
use crate::{Receipt, ReceiptType, Receipts, RoomReceipts, StoreError};

#[async_trait]
impl Receipts for MemoryStore {
    async fn put_receipt(&self, room_id: &RoomId, receipt: Receipt) -> Result<Option<i64>, StoreError> {
        let room_id = room_id.clone();
        self.write(move |data| Ok(data.put_receipt(room_id, receipt))).await
    }

    async fn receipts(
        &self,
        room_id: &RoomId,
        reader: &UserId,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<RoomReceipts, StoreError> {
        let inner = self.lock();
        let mut all: Vec<Receipt> = inner.data.receipts_of(room_id).filter(|it| it.stream <= until).cloned().collect();
        all.sort_by_key(|receipt| receipt.stream);
        let (own, mut others): (Vec<_>, Vec<_>) = all.into_iter().partition(|receipt| receipt.user_id == *reader);
        others.retain(|receipt| receipt.stream > after && receipt.receipt_type == ReceiptType::Read);
        others.drain(..others.len().saturating_sub(limit));
        Ok(RoomReceipts { own, others })
    }

    async fn has_receipts(&self, room_id: &RoomId, after: i64) -> Result<bool, StoreError> {
        Ok(self.lock().data.receipts_of(room_id).any(|receipt| receipt.stream > after))
    }

    async fn rooms_with_receipts(&self, user_id: &UserId, after: i64, until: i64) -> Result<Vec<RoomId>, StoreError> {
        let inner = self.lock();
        let key = ("m.room.member".to_owned(), user_id.to_string());
        let is_told = |receipt: &Receipt| {
            let visible = receipt.receipt_type == ReceiptType::Read || receipt.user_id == *user_id;
            visible && after < receipt.stream && receipt.stream <= until
        };
        let rooms = inner.data.rooms.iter().filter(|(room_id, room)| {
            let joined = room.state.get(&key).is_some_and(|current| current.membership == Some(Membership::Join));
            joined && inner.data.receipts_of(room_id).any(is_told)
        });
        Ok(rooms.map(|(room_id, _)| room_id.clone()).collect())
    }
}

impl Data {
    fn receipts_of(&self, room_id: &RoomId) -> impl Iterator<Item = &Receipt> {
        self.receipts.get(room_id).into_iter().flatten()
    }

    fn put_receipt(&mut self, room_id: RoomId, receipt: Receipt) -> Option<i64> {
        self.rooms.get(&room_id)?;
        let receipts = self.receipts.entry(room_id).or_default();
        let key = |receipt: &Receipt| (receipt.user_id.clone(), receipt.receipt_type, receipt.thread.clone());
        let known = receipts.iter().position(|known| key(known) == key(&receipt));
        if let Some(index) = known {
            if receipts.get(index)?.position >= receipt.position {
                return None;
            }
            receipts.remove(index);
        }
        self.stream += 1;
        receipts.push(Receipt { stream: self.stream, ..receipt });
        Some(self.stream)
    }
}
