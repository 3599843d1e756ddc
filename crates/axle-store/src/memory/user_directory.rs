//! Finding users by their names.

use std::collections::BTreeMap;

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::auth::Membership;
use serde_json::Value;

use super::MemoryStore;
use super::data::Room;
use crate::{FoundUser, FoundUsers, StoreError, StoredEvent, UserDirectory};

#[async_trait]
impl UserDirectory for MemoryStore {
    async fn search_users(
        &self,
        searcher: &UserId,
        words: Vec<String>,
        limit: usize,
    ) -> Result<FoundUsers, StoreError> {
        let inner = self.lock();
        let mut users: BTreeMap<UserId, (i64, FoundUser)> = BTreeMap::new();
        let server = format!(":{}", searcher.server_str());
        let searcher = searcher.as_str();
        let knows = |room: &Room| (is_open(room) && has_member_of(room, &server)) || is_in(room, searcher);
        for room in inner.data.rooms.values().filter(|room| knows(room)) {
            let open = is_open(room);
            for (event_type, user_id) in room.state.keys() {
                if event_type == "m.room.member" && (open || user_id != searcher) && is_in(room, user_id) {
                    let Some((id, (stream, user))) = found(room, user_id, &words) else { continue };
                    if users.get(&id).is_none_or(|(known, _)| *known < stream) {
                        users.insert(id, (stream, user));
                    }
                }
            }
        }
        let limited = users.len() > limit;
        let users = users.into_values().map(|(_, user)| user);
        Ok(FoundUsers { users: users.take(limit).collect(), limited })
    }
}

/// A member of a room, if they have such a name; by their id, with the place of the entry.
fn found(room: &Room, user_id: &str, words: &[String]) -> Option<(UserId, (i64, FoundUser))> {
    let event = state(room, "m.room.member", user_id)?;
    let json: Value =
        serde_json::from_str(&event.json).ok().filter(|_| event.redacted_by.is_none()).unwrap_or_default();
    let text = |key: &str| json.pointer(&format!("/content/{key}")).and_then(Value::as_str).map(str::to_owned);
    let displayname = text("displayname");
    let names = format!("{user_id} {}", displayname.as_deref().unwrap_or_default()).to_lowercase();
    let names: Vec<&str> = names.split(|letter: char| !letter.is_alphanumeric()).collect();
    let has = |word: &String| names.iter().any(|name| name.starts_with(word.to_lowercase().as_str()));
    if words.is_empty() || !words.iter().all(has) {
        return None;
    }
    let user = FoundUser { user_id: UserId::parse(user_id).ok()?, displayname, avatar_url: text("avatar_url") };
    Some((user.user_id.clone(), (event.stream, user)))
}

fn is_in(room: &Room, user_id: &str) -> bool {
    let member = room.state.get(&("m.room.member".to_owned(), user_id.to_owned()));
    member.is_some_and(|member| member.membership == Some(Membership::Join))
}

/// Whether somebody is in a room whose id ends so.
fn has_member_of(room: &Room, server: &str) -> bool {
    let members = room.state.keys().filter(|(event_type, _)| event_type == "m.room.member");
    members.map(|(_, user_id)| user_id).any(|user_id| user_id.ends_with(server) && is_in(room, user_id))
}

/// Whether anybody may join a room, or read it.
fn is_open(room: &Room) -> bool {
    let says = |event_type: &str, key: &str, what: &str| {
        let event = state(room, event_type, "");
        let json = event.and_then(|event| serde_json::from_str::<Value>(&event.json).ok()).unwrap_or_default();
        json.pointer(&format!("/content/{key}")).and_then(Value::as_str) == Some(what)
    };
    says("m.room.join_rules", "join_rule", "public")
        || says("m.room.history_visibility", "history_visibility", "world_readable")
}

fn state<'a>(room: &'a Room, event_type: &str, state_key: &str) -> Option<&'a StoredEvent> {
    room.events.get(&room.state.get(&(event_type.to_owned(), state_key.to_owned()))?.event_id)
}
