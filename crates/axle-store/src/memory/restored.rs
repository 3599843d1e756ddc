//! A store that was put back from an older copy.

use std::collections::BTreeSet;

use async_trait::async_trait;
use axle_protocol::{RoomId, ServerName};

use super::MemoryStore;
use crate::{RestoredRooms, StoreError};

#[async_trait]
impl RestoredRooms for MemoryStore {
    async fn mark_restored(&self) -> Result<(), StoreError> {
        self.write(|data| {
            for room_id in data.rooms.keys() {
                data.restored_rooms.entry(room_id.clone()).or_default();
            }
            data.e2ee.use_all();
            data.device_lists.begin_anew();
            Ok(())
        })
        .await
    }

    async fn restored_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        Ok(self.lock().data.restored_rooms.keys().cloned().collect())
    }

    async fn note_asked(&self, room_id: &RoomId, servers: &BTreeSet<ServerName>) -> Result<(), StoreError> {
        let (room_id, servers) = (room_id.clone(), servers.clone());
        self.write(move |data| {
            if let Some(asked) = data.restored_rooms.get_mut(&room_id) {
                *asked = servers;
            }
            Ok(())
        })
        .await
    }

    async fn asked(&self, room_id: &RoomId) -> Result<BTreeSet<ServerName>, StoreError> {
        Ok(self.lock().data.restored_rooms.get(room_id).cloned().unwrap_or_default())
    }

    async fn unmark_restored(&self, room_id: &RoomId) -> Result<(), StoreError> {
        let room_id = room_id.clone();
        self.write(move |data| {
            data.restored_rooms.remove(&room_id);
            Ok(())
        })
        .await
    }
}
