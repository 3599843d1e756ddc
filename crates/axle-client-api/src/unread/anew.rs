//! Counting from the beginning, where nothing is kept.

use axle_protocol::RoomId;
use axle_protocol::auth::Membership;
use axle_store::{Direction, EventStatus, RelationQuery, StoredEvent, THREAD};

use super::tally::{Read, Tally};
use super::{MAX_EVENTS, Reader};
use crate::error::ApiResult;
use crate::visibility;

/// Events that are read at a time.
const PAGE: usize = 100;
/// Threads of a room that are looked at beside its main timeline, those in which something happened last.
const MAX_THREADS: usize = 100;
/// Member events of the user that are gone back through to the one by which they came.
const MAX_STEPS: usize = 50;
/// A position before all that count: history that was fetched later is no news.
const BEFORE_NEWS: i64 = -1;

impl Reader<'_> {
    /// What is unread up to a stream position, of the newest events that the user has not read.
    pub(super) async fn count_anew(&self, room_id: &RoomId, member: &StoredEvent, until: i64) -> ApiResult<Tally> {
        let read = self.read(room_id, until).await?;
        let floor = read.everything.max(self.came(room_id, member).await?).max(BEFORE_NEWS);
        // Where the main timeline is read, there may be threads that are not.
        let main = read.up_to(None).max(floor);
        let newer = self.events_after(room_id, main, until).await?;
        let mut events = match main > floor {
            true => self.in_threads(room_id, &read, (floor, main), MAX_EVENTS.saturating_sub(newer.len())).await?,
            false => Vec::new(),
        };
        events.retain(|event| event.stream <= until);
        events.extend(newer);
        let mut tally = Tally::new(until, self.ignored().await?.stream);
        self.add(&mut tally, room_id, member, &read, &events).await?;
        Ok(tally)
    }

    /// The position of the event by which the user came into the room: what is older they need not read.
    async fn came(&self, room_id: &RoomId, member: &StoredEvent) -> ApiResult<i64> {
        let mut joined = member.clone();
        for _ in 0..MAX_STEPS {
            match visibility::member_before(self.api, self.user_id, room_id, &joined).await? {
                Some(before) if visibility::membership(&before.event) == Some(Membership::Join) => {
                    joined = before.event;
                }
                _ => break,
            }
        }
        Ok(joined.position.unwrap_or(i64::MIN))
    }

    /// The newest events after a position, oldest first.
    async fn events_after(&self, room_id: &RoomId, floor: i64, until: i64) -> ApiResult<Vec<StoredEvent>> {
        let mut found = Vec::new();
        let mut from = None;
        for _ in 0..MAX_EVENTS / PAGE {
            let page = self.api.store.timeline(room_id, from, Direction::Backward, PAGE).await?;
            let read = page.len();
            from = page.last().and_then(|last| last.position?.checked_sub(1));
            let newer = page.into_iter().take_while(|event| event.position.is_some_and(|position| position > floor));
            let before = found.len();
            found.extend(newer);
            if found.len() - before < PAGE || read < PAGE {
                break;
            }
        }
        found.retain(|event| event.stream <= until && event.status == EventStatus::Accepted);
        found.reverse();
        Ok(found)
    }

    /// Events of threads between two positions that are not read, in the room's order.
    async fn in_threads(
        &self,
        room_id: &RoomId,
        read: &Read,
        (floor, end): (i64, i64),
        most: usize,
    ) -> ApiResult<Vec<StoredEvent>> {
        let mut found = Vec::new();
        for thread in self.api.store.threads(room_id, self.user_id, i64::MAX, MAX_THREADS).await? {
            let read_to = read.up_to(Some(&thread.root)).max(floor);
            let limit = most.saturating_sub(found.len());
            if thread.latest <= floor || limit == 0 {
                break;
            }
            if thread.latest <= read_to {
                continue;
            }
            let query = RelationQuery {
                target: thread.root,
                rel_type: Some(THREAD.to_owned()),
                event_type: None,
                recurse: false,
                direction: Direction::Backward,
                from: Some(end.saturating_add(1)),
                limit,
            };
            let events = self.api.store.relations(room_id, &query).await?.into_iter();
            found.extend(events.take_while(|event| event.position.is_some_and(|position| position > read_to)));
        }
        found.sort_by_key(|event| event.position);
        Ok(found)
    }
}
