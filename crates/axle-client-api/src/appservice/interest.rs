//! What concerns an application service.
//!
//! An event does if its room, its sender or its state key is in a namespace, or an alias of the room is, or a member of
//! the room. Whether a member is, is kept for each room and follows the events, in their order: what happened in a room
//! that the service's users have left since still concerned it.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};
use axle_store::{EventStatus, StoredEvent};
use lru::LruCache;
use serde::Deserialize;

use super::ApplicationService;
use crate::cache::bounded;
use crate::error::ApiResult;
use crate::state::Api;

/// Rooms of which it is remembered who of a service's users is in them.
const MAX_ROOMS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// Rooms of a user that are looked at to see whether they concern a service.
const MAX_ROOMS_OF_USER: usize = 500;
/// The type of the events that say who is in a room.
const MEMBER: &str = "m.room.member";

/// Who of a service's users is in which room, as of the last event that was looked at.
pub(super) struct Interests {
    rooms: LruCache<RoomId, HashSet<String>>,
}

/// What of an event decides whom it concerns.
#[derive(Deserialize)]
struct Parts {
    #[serde(rename = "type")]
    event_type: String,
    sender: String,
    state_key: Option<String>,
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize, Default)]
struct Content {
    #[serde(default)]
    membership: serde_json::Value,
}

impl Interests {
    pub(super) fn new() -> Self {
        Self { rooms: bounded(MAX_ROOMS) }
    }

    /// Forgets everything: events are to be looked at that were looked at before.
    pub(super) fn forget(&mut self) {
        self.rooms.clear();
    }

    /// Whether a service is to be told of an event. To be asked of every event, in stream order.
    pub(super) async fn concerns(
        &mut self,
        api: &Api,
        service: &ApplicationService,
        event: &StoredEvent,
    ) -> ApiResult<bool> {
        let Ok(parts) = serde_json::from_str::<Parts>(&event.json) else { return Ok(false) };
        let own_key = parts.state_key.as_deref().filter(|key| service.has_user(key));
        let changes_members = parts.event_type == MEMBER && own_key.is_some();
        // History that was fetched later is no news, and what has no place in the room never happened in it here.
        if event.status != EventStatus::Accepted || event.position.is_none_or(|position| position < 0) {
            if changes_members {
                self.rooms.pop(&event.room_id);
            }
            return Ok(false);
        }
        let members = self.members_before(api, service, event).await?;
        let was_inside = !members.is_empty();
        if let (true, Some(user)) = (changes_members, own_key) {
            match parts.content.membership.as_str() == Some(Membership::Join.as_str()) {
                true => members.insert(user.to_owned()),
                false => members.remove(user),
            };
        }
        Ok(was_inside
            || own_key.is_some()
            || service.has_user(&parts.sender)
            || concerns_by_name(api, service, &event.room_id).await?)
    }

    /// Whether a service is to be told of what goes on in a room now and is no event.
    pub(super) async fn concerns_room(
        &mut self,
        api: &Api,
        service: &ApplicationService,
        room_id: &RoomId,
    ) -> ApiResult<bool> {
        let is_inside = match self.rooms.get(room_id) {
            Some(members) => !members.is_empty(),
            None => !members_now(api, service, room_id).await?.is_empty(),
        };
        Ok(is_inside || concerns_by_name(api, service, room_id).await?)
    }

    /// Whether a service is to be told that a user's keys changed: one of its own, or one in a room that concerns it.
    pub(super) async fn concerns_user(
        &mut self,
        api: &Api,
        service: &ApplicationService,
        user_id: &UserId,
    ) -> ApiResult<bool> {
        if service.has_user(user_id.as_str()) {
            return Ok(true);
        }
        let rooms = api.store.user_rooms(user_id).await?.into_iter();
        for room in rooms.filter(|room| room.membership == Membership::Join).take(MAX_ROOMS_OF_USER) {
            if self.concerns_room(api, service, &room.room_id).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Who of the service's users was in the room just before an event.
    async fn members_before(
        &mut self,
        api: &Api,
        service: &ApplicationService,
        event: &StoredEvent,
    ) -> ApiResult<&mut HashSet<String>> {
        if !self.rooms.contains(&event.room_id) {
            let members = find_members_before(api, service, event).await?;
            self.rooms.put(event.room_id.clone(), members);
        }
        Ok(self.rooms.get_or_insert_mut(event.room_id.clone(), HashSet::new))
    }
}

/// Whether a room concerns a service by its id or an alias.
async fn concerns_by_name(api: &Api, service: &ApplicationService, room_id: &RoomId) -> ApiResult<bool> {
    if service.has_room(room_id.as_str()) {
        return Ok(true);
    }
    if service.namespaces.aliases.is_empty() {
        return Ok(false);
    }
    let aliases = api.store.room_aliases(room_id).await?;
    Ok(aliases.iter().any(|alias| service.has_alias(alias)))
}

async fn members_now(api: &Api, service: &ApplicationService, room_id: &RoomId) -> ApiResult<HashSet<String>> {
    let server = api.config.server_name.as_str();
    let members = api.store.members(room_id, Membership::Join).await?.into_iter();
    let own = members.filter(|user| user.server_str() == server && service.has_user(user.as_str()));
    Ok(own.map(|user| user.to_string()).collect())
}

/// Today's members, without what came of it since the event.
async fn find_members_before(
    api: &Api,
    service: &ApplicationService,
    event: &StoredEvent,
) -> ApiResult<HashSet<String>> {
    let mut members = members_now(api, service, &event.room_id).await?;
    let since = event.stream.saturating_sub(1);
    for change in api.store.state_changes(&event.room_id, since, i64::MAX).await? {
        let Ok(parts) = serde_json::from_str::<Parts>(&change.json) else { continue };
        let Some(user) = parts.state_key.filter(|key| parts.event_type == MEMBER && service.has_user(key)) else {
            continue;
        };
        let position = event.position.unwrap_or_default();
        let before = api.store.state_event_before(&event.room_id, position, MEMBER, &user).await?;
        if before.as_ref().and_then(crate::visibility::membership) == Some(Membership::Join) {
            members.insert(user);
        } else {
            members.remove(&user);
        }
    }
    Ok(members)
}
