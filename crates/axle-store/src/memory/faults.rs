//! What hubs did that they should not have.

use async_trait::async_trait;
use axle_protocol::RoomId;

use super::MemoryStore;
use super::data::Data;
use crate::{HubFault, HubFaults, MAX_FAULTS_PER_ROOM, StoreError};

#[async_trait]
impl HubFaults for MemoryStore {
    async fn put_faults(&self, faults: Vec<HubFault>) -> Result<(), StoreError> {
        self.write(move |data| {
            faults.into_iter().for_each(|fault| put(data, fault));
            Ok(())
        })
        .await
    }

    async fn faults(&self, room_id: &RoomId, after: i64, until: i64) -> Result<Vec<HubFault>, StoreError> {
        let inner = self.lock();
        let faults = inner.data.rooms.get(room_id).into_iter().flat_map(|room| &room.faults);
        Ok(faults.filter(|fault| after < fault.stream && fault.stream <= until).cloned().collect())
    }

    async fn all_faults(&self) -> Result<Vec<HubFault>, StoreError> {
        let inner = self.lock();
        let mut faults: Vec<_> = inner.data.rooms.values().flat_map(|room| &room.faults).cloned().collect();
        faults.sort_by_key(|fault| fault.stream);
        Ok(faults)
    }
}

fn put(data: &mut Data, fault: HubFault) {
    let stream = data.stream + 1;
    let Some(room) = data.rooms.get_mut(&fault.room_id) else { return };
    if room.faults.iter().any(|known| known.event_id == fault.event_id && known.kind == fault.kind) {
        return;
    }
    room.faults.push_back(HubFault { stream, ..fault });
    if room.faults.len() > MAX_FAULTS_PER_ROOM {
        room.faults.pop_front();
    }
    room.newest_stream = stream;
    data.stream = stream;
}
