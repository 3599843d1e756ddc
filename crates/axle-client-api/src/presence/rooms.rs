//! Rooms whose members are told that somebody came or went. That wakes the syncs of all of them: where many come to a large
//! room at once, as after a restart of the server, it would cost the square of their number. So a room is told at once, and
//! then not again for a time that goes with its size.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axle_protocol::RoomId;
use tokio::time::sleep;

use crate::error::ApiResult;
use crate::state::Api;

/// How long a room is left alone for each of its members, and of how many at most.
const REST_FOR_A_MEMBER: Duration = Duration::from_millis(10);
const MAX_COUNTED: usize = 3_000;
/// How long after a failure.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Rooms that are left alone, and whether there is something to tell them when that is over.
#[derive(Debug, Default)]
pub(crate) struct Resting(Mutex<HashMap<RoomId, bool>>);

/// Tells a room's members, now or when its rest is over.
pub(super) fn tell(api: &Api, room_id: RoomId) {
    if api.resting.has_news(&room_id) {
        let (background, api) = (&api.background, api.clone());
        background.spawn(async move {
            loop {
                let rest = tell_now(&api, &room_id).await.unwrap_or_else(|error| {
                    tracing::info!(%room_id, ?error, "a room was not told who is there");
                    REST_AFTER_FAILURE
                });
                sleep(rest).await;
                if !api.resting.goes_on(&room_id) {
                    return;
                }
            }
        });
    }
}

/// Returns how long the room is to be left alone.
async fn tell_now(api: &Api, room_id: &RoomId) -> ApiResult<Duration> {
    api.rooms.wake_members(room_id).await?;
    let members = api.store.joined_count(room_id, MAX_COUNTED).await?;
    Ok(REST_FOR_A_MEMBER.saturating_mul(u32::try_from(members).unwrap_or(u32::MAX)))
}

impl Resting {
    /// There is something to tell. Returns whether that is to be done now; its rest begins.
    fn has_news(&self, room_id: &RoomId) -> bool {
        let mut rooms = self.lock();
        match rooms.get_mut(room_id) {
            Some(more) => {
                *more = true;
                false
            }
            None => rooms.insert(room_id.clone(), false).is_none(),
        }
    }

    /// A rest is over. Returns whether the room is to be told again; otherwise it rests no more.
    fn goes_on(&self, room_id: &RoomId) -> bool {
        let mut rooms = self.lock();
        let more = rooms.get_mut(room_id).is_some_and(std::mem::take);
        if !more {
            rooms.remove(room_id);
        }
        more
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, bool>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_while_a_room_rests_is_told_once_after_it() {
        let (resting, room) = (Resting::default(), RoomId::parse("!r:a.test").unwrap());
        let other = RoomId::parse("!s:a.test").unwrap();
        assert!(resting.has_news(&room), "at once");
        assert!(!resting.has_news(&room) && !resting.has_news(&room));
        assert!(resting.has_news(&other), "each for itself");
        assert!(resting.goes_on(&room));
        assert!(!resting.goes_on(&room) && !resting.goes_on(&other));
        assert!(resting.lock().is_empty());
        assert!(resting.has_news(&room));
    }
}
