//! Which member events clients that load members lazily have been told: these are left out of later answers
//! ("Lazy-loading room members" in Matrix's specification).
//!
//! A client has what was told by an answer only when it goes on from where that ended. Kept in memory, and bounded: what
//! was forgotten is told again.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axle_protocol::RoomId;
use axle_protocol::event::{Hash, sha256};
use axle_store::StoredEvent;
use lru::LruCache;

use crate::cache::bounded;
use crate::session::Session;
use crate::visibility::member_of;

/// Member events that are remembered, of all devices and rooms together; each takes about 100 bytes.
const MAX_MEMBERS: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// A member event that was told: its own place in stream order, and where the first answer ended that told it.
#[derive(Clone, Copy)]
struct Told {
    event: i64,
    until: i64,
}

/// What was told, by device, room and member.
pub(crate) struct ToldMembers(Mutex<LruCache<Hash, Told>>);

impl Default for ToldMembers {
    fn default() -> Self {
        Self(Mutex::new(bounded(MAX_MEMBERS)))
    }
}

impl ToldMembers {
    /// Whether a device that goes on from `since` has this member event. A redacted one is told anew.
    pub(super) fn knows(&self, session: &Session, room_id: &RoomId, event: &StoredEvent, since: i64) -> bool {
        let Some(key) = key(session, room_id, event).filter(|_| event.redacted_by.is_none()) else { return false };
        self.lock().get(&key).is_some_and(|told| told.event == event.stream && told.until <= since)
    }

    /// An answer that ends at `until` tells these events, in this order. Those that are no member events are passed over.
    pub(super) fn note<'a>(
        &self,
        session: &Session,
        room_id: &RoomId,
        events: impl Iterator<Item = &'a StoredEvent>,
        until: i64,
    ) {
        let mut all = self.lock();
        for event in events {
            let Some(key) = key(session, room_id, event) else { continue };
            // Who goes on from the first answer that told it has it, whatever was told again since.
            let earlier = all.get(&key).filter(|told| told.event == event.stream).map_or(until, |told| told.until);
            all.put(key, Told { event: event.stream, until: until.min(earlier) });
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Hash, Told>> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No part has a zero byte in it.
fn key(session: &Session, room_id: &RoomId, event: &StoredEvent) -> Option<Hash> {
    let (member, _) = member_of(event)?;
    let parts = [session.user_id.as_str(), session.device_id.as_str(), room_id.as_str(), &*member];
    Some(sha256(parts.join("\0")))
}
