//! When something happened in rooms that is worth a look, for the `bump_stamp`.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axle_protocol::RoomId;
use axle_store::StoredEvent;
use lru::LruCache;
use serde::Deserialize;

use crate::cache::bounded;
use crate::error::ApiResult;
use crate::state::Api;
use crate::token::BEFORE_EVERYTHING;

/// Types of events that are worth a look.
const TYPES: [&str; 7] = [
    "m.room.create",
    "m.room.message",
    "m.room.encrypted",
    "m.sticker",
    "m.call.invite",
    "m.poll.start",
    "m.beacon_info",
];
/// How many of the newest events of a room are looked at: first a few, then more. If none of those is worth a look, the
/// last one that is known of counts.
const EVENTS: [usize; 2] = [20, 200];
/// Rooms that are remembered.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(50_000).unwrap();

/// What is known of rooms: it goes along with them, so that each event is looked at once.
pub(crate) struct Bumps(Mutex<LruCache<RoomId, Kept>>);

#[derive(Clone, Copy)]
struct Kept {
    /// Up to where events were looked at, in stream order.
    until: i64,
    stamp: Option<i64>,
}

impl Default for Bumps {
    fn default() -> Self {
        Self(Mutex::new(bounded(MAX_KEPT)))
    }
}

impl Bumps {
    fn lock(&self) -> MutexGuard<'_, LruCache<RoomId, Kept>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream position of the last event up to `until` that is worth a look, as far as is known. `newest` are the newest
/// events of the room, as many as are read already.
pub(super) async fn stamp(api: &Api, room_id: &RoomId, newest: &[StoredEvent], until: i64) -> ApiResult<Option<i64>> {
    if let Some(stamp) = last(newest) {
        return Ok(Some(stamp));
    }
    let kept = api.bumps.lock().get(room_id).copied();
    let mut known = kept.unwrap_or(Kept { until: BEFORE_EVERYTHING, stamp: None });
    if known.until >= until {
        return Ok(known.stamp);
    }
    for limit in EVENTS {
        let read = api.store.sync_room(room_id, known.until, until, limit).await?;
        let found = last(&read.timeline);
        known.stamp = found.or(known.stamp);
        if found.is_some() || !read.limited {
            break;
        }
    }
    known.until = until;
    api.bumps.lock().put(room_id.clone(), known);
    Ok(known.stamp)
}

fn last(events: &[StoredEvent]) -> Option<i64> {
    events.iter().rev().find(|event| is_worth_a_look(event)).map(|event| event.stream)
}

fn is_worth_a_look(event: &StoredEvent) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        event_type: String,
    }
    serde_json::from_str::<Typed>(&event.json).is_ok_and(|event| TYPES.contains(&event.event_type.as_str()))
}
