//! Reading rooms.

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::event::Hash;
use axle_protocol::{EventId, RoomId, UserId};

use super::MemoryStore;
use super::data::{Data, Room};
use crate::{
    Append, Appended, Direction, EventStatus, OutOfRoom, RoomHead, RoomLog, RoomSnapshot, StateBefore, StateEntry,
    StoreError, StoredEvent, SyncRoom, UserRoom,
};

impl MemoryStore {
    /// Reads from a room; the default value if it is not known.
    pub(super) fn read_room<T: Default>(
        &self,
        room_id: &RoomId,
        read: impl FnOnce(&Room) -> T,
    ) -> Result<T, StoreError> {
        Ok(self.lock().data.rooms.get(room_id).map(read).unwrap_or_default())
    }
}

#[async_trait]
impl RoomLog for MemoryStore {
    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.write(move |data| data.append(&append)).await
    }

    async fn load_room(&self, room_id: &RoomId) -> Result<Option<RoomSnapshot>, StoreError> {
        self.read_room(room_id, |room| Some(snapshot(room_id, room)))
    }

    async fn rooms_with_waiting(&self) -> Result<Vec<RoomId>, StoreError> {
        let inner = self.lock();
        let waits = |room: &Room| room.events.values().any(|event| event.status == EventStatus::Waiting);
        Ok(inner.data.rooms.iter().filter(|(_, room)| waits(room)).map(|(id, _)| id.clone()).collect())
    }

    async fn event(&self, event_id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        Ok(self.lock().data.event(event_id).cloned())
    }

    async fn events(&self, event_ids: &[EventId]) -> Result<Vec<StoredEvent>, StoreError> {
        let inner = self.lock();
        Ok(event_ids.iter().filter_map(|id| inner.data.event(id).cloned()).collect())
    }

    async fn known_lpdus(&self, room_id: &RoomId, hashes: &[Hash]) -> Result<Vec<(Hash, EventId)>, StoreError> {
        self.read_room(room_id, |room| {
            hashes.iter().filter_map(|hash| Some((*hash, room.lpdus.get(hash)?.clone()))).collect()
        })
    }

    async fn timeline(
        &self,
        room_id: &RoomId,
        from: Option<i64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_room(room_id, |room| {
            let visible = |event: &&StoredEvent| event.status != EventStatus::Rejected;
            let at = |id: &EventId| room.events.get(id);
            match direction {
                Direction::Backward => {
                    let range = room.order.range(..=from.unwrap_or(i64::MAX)).rev();
                    range.filter_map(|(_, id)| at(id)).filter(visible).take(limit).cloned().collect()
                }
                Direction::Forward => {
                    let range = room.order.range(from.unwrap_or(i64::MIN)..);
                    range.filter_map(|(_, id)| at(id)).filter(visible).take(limit).cloned().collect()
                }
            }
        })
    }

    async fn unplaced(&self, room_id: &RoomId, after: i64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_room(room_id, |room| {
            let unplaced = |event: &&StoredEvent| event.position.is_none() && event.stream > after;
            let mut events: Vec<StoredEvent> = room.events.values().filter(unplaced).cloned().collect();
            events.sort_by_key(|event| event.stream);
            events.truncate(limit);
            events
        })
    }

    async fn state_before(&self, room_id: &RoomId, position: i64) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_room(room_id, |room| room.state_before(position))
    }

    async fn current_state(&self, room_id: &RoomId) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_room(room_id, |room| {
            room.state.values().filter_map(|current| room.events.get(&current.event_id).cloned()).collect()
        })
    }

    async fn state_event(
        &self,
        room_id: &RoomId,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StoredEvent>, StoreError> {
        let key = (event_type.to_owned(), state_key.to_owned());
        self.read_room(room_id, |room| room.events.get(&room.state.get(&key)?.event_id).cloned())
    }

    async fn state_event_before(
        &self,
        room_id: &RoomId,
        position: i64,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StoredEvent>, StoreError> {
        let key = (event_type.to_owned(), state_key.to_owned());
        self.read_room(room_id, |room| room.state_entry_before(position, &key).cloned())
    }

    async fn state_events_before(
        &self,
        room_id: &RoomId,
        wanted: Vec<StateBefore>,
    ) -> Result<Vec<Option<StoredEvent>>, StoreError> {
        self.read_room(room_id, |room| {
            let before = |StateBefore { position, event_type, state_key }| {
                room.state_entry_before(position, &(event_type, state_key)).cloned()
            };
            wanted.into_iter().map(before).collect()
        })
    }

    async fn state_changes(&self, room_id: &RoomId, after: i64, until: i64) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_room(room_id, |room| room.state_changes(after, until))
    }

    async fn has_state_changes(&self, room_id: &RoomId, after: i64) -> Result<bool, StoreError> {
        Ok(!self.state_changes(room_id, after, i64::MAX).await?.is_empty())
    }

    async fn sync_room(&self, room_id: &RoomId, after: i64, until: i64, limit: usize) -> Result<SyncRoom, StoreError> {
        let newest = |room: &Room| -> Vec<StoredEvent> {
            let walk = room.order.range(0..).rev().filter_map(|(position, _)| room.at(*position));
            let news = walk.take_while(|event| event.stream > after).filter(|event| event.stream <= until);
            news.filter(|event| event.status == EventStatus::Accepted).take(limit + 1).cloned().collect()
        };
        let mut timeline = self.read_room(room_id, newest)?;
        let limited = timeline.len() > limit;
        timeline.truncate(limit);
        timeline.reverse();
        Ok(SyncRoom { timeline, limited })
    }

    async fn max_stream(&self) -> Result<i64, StoreError> {
        Ok(self.lock().data.stream)
    }

    async fn user_rooms(&self, user_id: &UserId) -> Result<Vec<UserRoom>, StoreError> {
        self.user_rooms_changed(user_id, -1).await
    }

    async fn user_rooms_changed(&self, user_id: &UserId, after: i64) -> Result<Vec<UserRoom>, StoreError> {
        let inner = self.lock();
        let changed = inner.data.rooms.iter().filter(|(_, room)| room.newest_stream > after);
        Ok(changed.filter_map(|(room_id, room)| user_room(&inner.data, room_id, room, user_id)).collect())
    }

    async fn joined_among(&self, user_id: &UserId, rooms: Vec<RoomId>) -> Result<Vec<RoomId>, StoreError> {
        let key = ("m.room.member".to_owned(), user_id.to_string());
        let inner = self.lock();
        let membership = |room_id: &RoomId| inner.data.rooms.get(room_id)?.state.get(&key)?.membership;
        Ok(rooms.into_iter().filter(|room_id| membership(room_id) == Some(Membership::Join)).collect())
    }

    async fn members(&self, room_id: &RoomId, membership: Membership) -> Result<Vec<UserId>, StoreError> {
        self.read_room(room_id, |room| {
            let members = room
                .state
                .iter()
                .filter(|(key, current)| key.0 == "m.room.member" && current.membership == Some(membership));
            members.filter_map(|(key, _)| UserId::parse(&key.1).ok()).collect()
        })
    }

    async fn joined_count(&self, room_id: &RoomId, limit: usize) -> Result<usize, StoreError> {
        Ok(self.members(room_id, Membership::Join).await?.len().min(limit))
    }

    async fn put_out_of_room(&self, entry: OutOfRoom) -> Result<i64, StoreError> {
        self.write(move |data| {
            let stream = data.next_stream();
            let key = (entry.user_id.clone(), entry.room_id.clone());
            data.out_of_room.insert(key, OutOfRoom { stream, ..entry });
            Ok(stream)
        })
        .await
    }

    async fn out_of_room(&self, user_id: &UserId) -> Result<Vec<OutOfRoom>, StoreError> {
        let inner = self.lock();
        Ok(inner.data.out_of_room.values().filter(|entry| entry.user_id == *user_id).cloned().collect())
    }

    async fn out_of_room_in(&self, user_id: &UserId, room_id: &RoomId) -> Result<Option<OutOfRoom>, StoreError> {
        Ok(self.lock().data.out_of_room.get(&(user_id.clone(), room_id.clone())).cloned())
    }

    async fn remove_out_of_room(&self, user_id: &UserId, room_id: &RoomId) -> Result<(), StoreError> {
        let key = (user_id.clone(), room_id.clone());
        self.write(move |data| {
            data.out_of_room.remove(&key);
            Ok(())
        })
        .await
    }
}

fn snapshot(room_id: &RoomId, room: &Room) -> RoomSnapshot {
    let head = room.head().and_then(|position| {
        let event = room.at(position)?;
        Some(RoomHead { position, event_id: event.event_id.clone(), stream: event.stream })
    });
    let entry = |((event_type, state_key), current): (&(String, String), &super::data::Current)| StateEntry {
        event_type: event_type.clone(),
        state_key: state_key.clone(),
        event_id: current.event_id.clone(),
        membership: current.membership,
        json: if event_type == "m.room.member" { None } else { room.json(&current.event_id) },
    };
    let waits = |event: &&StoredEvent| event.status == EventStatus::Waiting;
    let mut waiting: Vec<StoredEvent> = room.events.values().filter(waits).cloned().collect();
    waiting.sort_by_key(|event| event.stream);
    let state = room.state.iter().map(entry).collect();
    let group = room.groups.values().next_back().map(|group| group.state.clone());
    RoomSnapshot { room_id: room_id.clone(), room_version: room.version, head, state, waiting, group }
}

fn user_room(data: &Data, room_id: &RoomId, room: &Room, user_id: &UserId) -> Option<UserRoom> {
    let current = room.state.get(&("m.room.member".to_owned(), user_id.to_string()))?;
    let event = data.event(&current.event_id)?;
    Some(UserRoom {
        room_id: room_id.clone(),
        membership: current.membership?,
        event_id: current.event_id.clone(),
        stream: event.stream,
        position: event.position,
        room_stream: room.newest_stream,
    })
}
