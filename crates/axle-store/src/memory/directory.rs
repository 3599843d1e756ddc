//! The room directory.

use std::collections::btree_map::Entry;

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};

use super::MemoryStore;
use super::data::{Data, Room};
use crate::{
    ListPart, ListedRoom, MAX_ALIASES_PER_ROOM, PutAlias, RoomAlias, RoomDescription, RoomDirectory, StoreError,
    StoredEvent,
};

#[async_trait]
impl RoomDirectory for MemoryStore {
    async fn put_alias(&self, alias: &str, room_id: &RoomId, creator: &UserId) -> Result<PutAlias, StoreError> {
        let (alias, entry) = (alias.to_owned(), RoomAlias { room_id: room_id.clone(), creator: creator.clone() });
        self.write(move |data| {
            let others = data.aliases.values().filter(|other| other.room_id == entry.room_id).count();
            let full = others >= MAX_ALIASES_PER_ROOM;
            Ok(match data.aliases.entry(alias) {
                Entry::Occupied(_) => PutAlias::Taken,
                Entry::Vacant(_) if full => PutAlias::Full,
                Entry::Vacant(free) => {
                    free.insert(entry);
                    PutAlias::Stored
                }
            })
        })
        .await
    }

    async fn alias(&self, alias: &str) -> Result<Option<RoomAlias>, StoreError> {
        Ok(self.lock().data.aliases.get(alias).cloned())
    }

    async fn remove_alias(&self, alias: &str) -> Result<bool, StoreError> {
        let alias = alias.to_owned();
        self.write(move |data| Ok(data.aliases.remove(&alias).is_some())).await
    }

    async fn room_aliases(&self, room_id: &RoomId) -> Result<Vec<String>, StoreError> {
        let inner = self.lock();
        let own = inner.data.aliases.iter().filter(|(_, entry)| entry.room_id == *room_id);
        Ok(own.map(|(alias, _)| alias.clone()).collect())
    }

    async fn set_listed(&self, room_id: &RoomId, listed: bool) -> Result<(), StoreError> {
        let room_id = room_id.clone();
        self.write(move |data| {
            if !listed {
                data.listed.remove(&room_id);
            } else if data.rooms.contains_key(&room_id) {
                data.listed.insert(room_id);
            }
            Ok(())
        })
        .await
    }

    async fn is_listed(&self, room_id: &RoomId) -> Result<bool, StoreError> {
        Ok(self.lock().data.listed.contains(room_id))
    }

    async fn listed_rooms(&self, part: ListPart, limit: usize) -> Result<Vec<ListedRoom>, StoreError> {
        let mut list = listed(&self.lock().data);
        list.sort_by(|a, b| place(b).cmp(&place(a)));
        match &part {
            ListPart::Start => {}
            ListPart::After(from) => list.retain(|room| place(room) < place(from)),
            ListPart::Before(from) => {
                list.retain(|room| place(room) > place(from));
                list.reverse();
            }
        }
        list.truncate(limit);
        Ok(list)
    }

    async fn count_listed_rooms(&self) -> Result<u64, StoreError> {
        Ok(self.lock().data.listed.len() as u64)
    }

    async fn move_directory_entries(&self, from: &RoomId, to: &RoomId) -> Result<(), StoreError> {
        let (from, to) = (from.clone(), to.clone());
        self.write(move |data| {
            for entry in data.aliases.values_mut().filter(|entry| entry.room_id == from) {
                entry.room_id = to.clone();
            }
            if data.listed.remove(&from) && data.rooms.contains_key(&to) {
                data.listed.insert(to);
            }
            Ok(())
        })
        .await
    }

    async fn describe_rooms(
        &self,
        room_ids: &[RoomId],
        types: &'static [&'static str],
    ) -> Result<Vec<RoomDescription>, StoreError> {
        let inner = self.lock();
        let known = room_ids.iter().filter_map(|room_id| Some((room_id, inner.data.rooms.get(room_id)?)));
        let describe = |(room_id, room): (&RoomId, &Room)| {
            let current = types.iter().filter_map(|kind| room.state.get(&((*kind).to_owned(), String::new())));
            RoomDescription {
                room_id: room_id.clone(),
                room_version: room.version,
                joined_members: joined_members(room),
                state: current.filter_map(|current| room.events.get(&current.event_id).cloned()).collect(),
            }
        };
        Ok(known.map(describe).collect())
    }

    async fn count_state(&self, room_id: &RoomId) -> Result<u64, StoreError> {
        Ok(self.lock().data.rooms.get(room_id).map_or(0, |room| room.state.len() as u64))
    }

    async fn state_of_type(&self, room_id: &RoomId, event_type: &str) -> Result<Vec<StoredEvent>, StoreError> {
        let mut state = self.current_state_of(room_id);
        state.retain(|((kind, _), _)| kind == event_type);
        Ok(state.into_iter().map(|(_, event)| event).collect())
    }
}

impl MemoryStore {
    fn current_state_of(&self, room_id: &RoomId) -> Vec<((String, String), StoredEvent)> {
        let inner = self.lock();
        let Some(room) = inner.data.rooms.get(room_id) else { return Vec::new() };
        let entries = room.state.iter();
        entries.filter_map(|(key, current)| Some((key.clone(), room.events.get(&current.event_id)?.clone()))).collect()
    }
}

fn listed(data: &Data) -> Vec<ListedRoom> {
    let known = data.listed.iter().filter_map(|room_id| Some((room_id, data.rooms.get(room_id)?)));
    known.map(|(room_id, room)| ListedRoom { room_id: room_id.clone(), joined_members: joined_members(room) }).collect()
}

fn place(room: &ListedRoom) -> (u64, &str) {
    (room.joined_members, room.room_id.as_str())
}

fn joined_members(room: &Room) -> u64 {
    room.state.values().filter(|current| current.membership == Some(Membership::Join)).count() as u64
}
