//! What an operator does.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, ServerName};

use super::MemoryStore;
use super::data::Room;
use crate::{Operator, RoomSummary, StoreError};

#[async_trait]
impl Operator for MemoryStore {
    async fn rooms(&self) -> Result<Vec<RoomSummary>, StoreError> {
        Ok(self.lock().data.rooms.iter().map(|(room_id, room)| summary(room_id, room)).collect())
    }

    /// Always fails: there is no file to copy.
    async fn backup(&self, _to: &Path) -> Result<(), StoreError> {
        Err(StoreError::Io("a store in memory has nothing to back up".into()))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await
    }

    async fn close(&self) {
        self.lock().closed = true;
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.lock().data.rooms.iter().flat_map(|(room_id, room)| check_room(room_id, room)).collect())
    }

    async fn block_server(&self, server: &ServerName, blocked: bool) -> Result<(), StoreError> {
        let server = server.clone();
        self.write(move |data| {
            match blocked {
                true => data.blocked_servers.insert(server),
                false => data.blocked_servers.remove(&server),
            };
            Ok(())
        })
        .await
    }

    async fn block_room(&self, room_id: &RoomId, blocked: bool) -> Result<(), StoreError> {
        let room_id = room_id.clone();
        self.write(move |data| {
            match blocked {
                true => data.blocked_rooms.insert(room_id),
                false => data.blocked_rooms.remove(&room_id),
            };
            Ok(())
        })
        .await
    }

    async fn blocked_servers(&self) -> Result<Vec<ServerName>, StoreError> {
        Ok(self.lock().data.blocked_servers.iter().cloned().collect())
    }

    async fn blocked_rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        Ok(self.lock().data.blocked_rooms.iter().cloned().collect())
    }
}

fn summary(room_id: &RoomId, room: &Room) -> RoomSummary {
    let name = room.state.get(&("m.room.name".to_owned(), String::new())).and_then(|current| {
        let event: serde_json::Value = serde_json::from_str(&room.json(&current.event_id)?).ok()?;
        Some(event.get("content")?.get("name")?.as_str()?.to_owned())
    });
    let joined = room.state.values().filter(|current| current.membership == Some(Membership::Join)).count();
    RoomSummary {
        room_id: room_id.clone(),
        room_version: room.version,
        name,
        joined_members: joined as u64,
        events: room.order.len() as u64,
    }
}

fn check_room(room_id: &RoomId, room: &Room) -> Vec<String> {
    let mut findings = Vec::new();
    for (position, event_id) in &room.order {
        if room.events.get(event_id).and_then(|event| event.position) != Some(*position) {
            findings.push(format!("{event_id} of {room_id} is not at {position}"));
        }
    }
    let mut folded = BTreeMap::new();
    for change in room.changes.iter().filter(|change| change.stream.is_some()) {
        folded.insert(&change.key, &change.event_id);
    }
    if !folded.into_iter().eq(room.state.iter().map(|(key, current)| (key, &current.event_id))) {
        findings.push(format!("the state of {room_id} is not what its changes make"));
    }
    findings
}
