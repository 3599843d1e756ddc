//! How many messages a user has yet to read, in all their rooms together.

use std::collections::HashMap;

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};

use crate::error::ApiResult;
use crate::state::Api;
use crate::unread::Reader;
use crate::visibility::{member_event, membership};

/// Goes along with the rooms: after the first time only those are counted in which something happened.
pub(super) struct Badge {
    user_id: UserId,
    /// Up to where is counted, in stream order; `None`: nothing is yet.
    until: Option<i64>,
    /// Rooms in which something is unread.
    rooms: HashMap<RoomId, u64>,
}

impl Badge {
    pub(super) fn new(user_id: UserId) -> Self {
        Self { user_id, until: None, rooms: HashMap::new() }
    }

    pub(super) fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// The number at a moment, not before the last one.
    pub(super) async fn at(&mut self, api: &Api, until: i64) -> ApiResult<u64> {
        if self.until.is_none_or(|counted| counted < until) {
            let reader = Reader::new(api, &self.user_id);
            for room_id in self.changed(api, until).await? {
                match unread(api, &reader, &self.user_id, &room_id, until).await? {
                    0 => self.rooms.remove(&room_id),
                    unread => self.rooms.insert(room_id, unread),
                };
            }
            self.until = Some(until);
        }
        Ok(self.rooms.values().fold(0, |sum, unread| sum.saturating_add(*unread)))
    }

    /// Rooms in which something happened since the last time, some of them twice.
    async fn changed(&self, api: &Api, until: i64) -> ApiResult<Vec<RoomId>> {
        let Some(after) = self.until else {
            let rooms = api.store.user_rooms(&self.user_id).await?.into_iter();
            return Ok(rooms.filter(|room| room.membership == Membership::Join).map(|room| room.room_id).collect());
        };
        let mut rooms = api.store.rooms_with_receipts(&self.user_id, after, until).await?;
        let changed = api.store.user_rooms_changed(&self.user_id, after).await?;
        rooms.extend(changed.into_iter().map(|room| room.room_id));
        Ok(rooms)
    }
}

async fn unread(api: &Api, reader: &Reader<'_>, user_id: &UserId, room_id: &RoomId, until: i64) -> ApiResult<u64> {
    let member = member_event(api, user_id, room_id).await?;
    let Some(member) = member.filter(|member| membership(member) == Some(Membership::Join)) else { return Ok(0) };
    Ok(reader.unread(room_id, &member, until, None).await?.total().notifications())
}
