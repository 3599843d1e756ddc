//! What lists of a user's rooms are made of.

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};
use serde_json::Value;

use super::MemoryStore;
use super::data::{Data, Room};
use crate::{DescribedUserRoom, RoomLists, RoomLog, StatePattern, StoreError, StoredEvent, UserRoom};

#[async_trait]
impl RoomLists for MemoryStore {
    async fn described_user_rooms(&self, user_id: &UserId, after: i64) -> Result<Vec<DescribedUserRoom>, StoreError> {
        let rooms = self.user_rooms_changed(user_id, after).await?;
        let inner = self.lock();
        Ok(rooms.into_iter().map(|room| describe(&inner.data, user_id, room)).collect())
    }

    async fn matching_state(
        &self,
        room_id: &RoomId,
        patterns: Vec<StatePattern>,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let inner = self.lock();
        let Some(room) = inner.data.rooms.get(room_id) else { return Ok(Vec::new()) };
        let wanted =
            |(event_type, key): &(String, String)| patterns.iter().any(|pattern| pattern.matches(event_type, key));
        let entries = room.state.iter().filter(|(key, _)| wanted(key));
        Ok(entries.filter_map(|(_, current)| room.events.get(&current.event_id).cloned()).collect())
    }
}

fn describe(data: &Data, user_id: &UserId, room: UserRoom) -> DescribedUserRoom {
    let is_over = matches!(room.membership, Membership::Leave | Membership::Ban);
    let known = data.rooms.get(&room.room_id);
    let json = |event: Option<&StoredEvent>| -> Value {
        event.and_then(|event| serde_json::from_str(&event.json).ok()).unwrap_or_default()
    };
    let create = json(known.and_then(|known| entry(known, "m.room.create")));
    let sender = json(data.event(&room.event_id));
    DescribedUserRoom {
        by_user: !is_over || sender.get("sender").and_then(Value::as_str) == Some(user_id.as_str()),
        forgotten: is_over && data.forgotten.contains(&(user_id.to_string(), room.room_id.clone())),
        room_type: create.pointer("/content/type").and_then(Value::as_str).map(str::to_owned),
        encrypted: known.is_some_and(|known| entry(known, "m.room.encryption").is_some()),
        room,
    }
}

fn entry<'a>(room: &'a Room, event_type: &str) -> Option<&'a StoredEvent> {
    room.events.get(&room.state.get(&(event_type.to_owned(), String::new()))?.event_id)
}
