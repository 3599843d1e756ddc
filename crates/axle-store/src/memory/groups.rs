//! The states of groups.

use std::collections::BTreeMap;

use async_trait::async_trait;
use axle_protocol::{EventId, RoomId};

use super::MemoryStore;
use crate::{GroupEpoch, GroupStates, MAX_GROUP_EPOCHS, StoreError};

/// Stores a state, and lets go of what is void or too old by it.
pub(super) fn put(groups: &mut BTreeMap<u64, GroupEpoch>, group: &GroupEpoch) {
    let oldest = (group.epoch + 1).saturating_sub(MAX_GROUP_EPOCHS);
    let is_kept = |epoch: &u64| *epoch >= oldest || group.awaited.contains(epoch);
    groups.retain(|epoch, _| is_kept(epoch) && !(group.is_back && *epoch > group.epoch));
    groups.insert(group.epoch, group.clone());
}

#[async_trait]
impl GroupStates for MemoryStore {
    async fn group_after(&self, room_id: &RoomId, commit: &EventId) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_room(room_id, |room| {
            room.groups.values().find(|group| group.commit == *commit).map(|group| group.state.clone())
        })
    }

    async fn group_in(&self, room_id: &RoomId, epoch: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_room(room_id, |room| room.groups.get(&epoch).map(|group| group.state.clone()))
    }
}
