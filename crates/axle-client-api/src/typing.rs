//! Who is typing where. It is kept in memory: it is over in seconds, and a server that starts again knows of nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axle_protocol::{RoomId, UserId};
use tokio::time::{Instant, sleep_until};

use crate::fleeting::Clock;
use crate::state::Api;

/// The longest that somebody counts as typing who does not say so again.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Users who count as typing in a room at once; others are not told of.
const MAX_TYPING: usize = 100;
/// Rooms that are remembered for those who have not been told yet that nobody types there any more.
const MAX_QUIET_ROOMS: usize = 10_000;

/// Who is typing.
#[derive(Debug, Default)]
pub(crate) struct Typing(Mutex<Rooms>);

#[derive(Debug, Default)]
struct Rooms {
    rooms: HashMap<RoomId, Room>,
    /// Every room by its last change.
    changes: BTreeMap<i64, RoomId>,
}

#[derive(Debug, Default)]
struct Room {
    changed: i64,
    typing: BTreeMap<UserId, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The change by which the user began.
    began: i64,
    ends: Instant,
}

/// A local user types, for so long, or does not. The room is told of it, and when the time is over; so are other servers.
pub(crate) async fn set(api: &Api, room_id: &RoomId, user_id: &UserId, timeout: Option<Duration>) {
    let changed = set_here(api, room_id, user_id, timeout).await;
    // They have to be told again that somebody goes on: they count the time as well.
    if changed || timeout.is_some() {
        api.servers.typing(room_id, user_id, timeout.is_some()).await;
    }
}

/// The same of a user of another server, who says when they stop.
pub(crate) async fn set_elsewhere(api: &Api, room_id: &RoomId, user_id: &UserId, typing: bool) {
    set_here(api, room_id, user_id, typing.then_some(MAX_TIMEOUT)).await;
}

async fn set_here(api: &Api, room_id: &RoomId, user_id: &UserId, timeout: Option<Duration>) -> bool {
    let changed = match timeout {
        Some(timeout) => {
            let began = api.typing.begin(&api.clock, room_id, user_id, Instant::now() + timeout.min(MAX_TIMEOUT));
            if let Some(began) = began {
                api.background.spawn(end_in_time(api.clone(), room_id.clone(), user_id.clone(), began));
            }
            began.is_some()
        }
        None => api.typing.end(&api.clock, room_id, user_id, None),
    };
    if changed {
        wake(api, room_id).await;
    }
    changed
}

async fn end_in_time(api: Api, room_id: RoomId, user_id: UserId, began: i64) {
    while let Some(ends) = api.typing.ends(&room_id, &user_id, began) {
        if ends > Instant::now() {
            sleep_until(ends).await;
        } else if api.typing.end(&api.clock, &room_id, &user_id, Some(began)) {
            wake(&api, &room_id).await;
            if user_id.server_str() == api.config.server_name.as_str() {
                api.servers.typing(&room_id, &user_id, false).await;
            }
        }
    }
}

async fn wake(api: &Api, room_id: &RoomId) {
    if let Err(error) = api.rooms.wake_members(room_id).await {
        tracing::info!(%room_id, ?error, "a room was not told who is typing");
    }
}

impl Typing {
    /// Who is typing in a room.
    pub(crate) fn in_room(&self, room_id: &RoomId) -> Vec<UserId> {
        self.lock().rooms.get(room_id).map(|room| room.typing.keys().cloned().collect()).unwrap_or_default()
    }

    /// The rooms in which it changed after a moment.
    pub(crate) fn changed(&self, since: i64) -> Vec<RoomId> {
        self.lock().changes.range(since.saturating_add(1)..).map(|(_, room_id)| room_id.clone()).collect()
    }

    /// Somebody types until then. Returns the change, if they did not before.
    fn begin(&self, clock: &Clock, room_id: &RoomId, user_id: &UserId, ends: Instant) -> Option<i64> {
        let mut rooms = self.lock();
        if let Some(entry) = rooms.rooms.get_mut(room_id).and_then(|room| room.typing.get_mut(user_id)) {
            entry.ends = ends;
            return None;
        }
        if rooms.rooms.get(room_id).is_some_and(|room| room.typing.len() >= MAX_TYPING) {
            return None;
        }
        let began = rooms.change(clock, room_id);
        rooms.rooms.entry(room_id.clone()).or_default().typing.insert(user_id.clone(), Entry { began, ends });
        Some(began)
    }

    /// Somebody types no longer, if they began by this change. Returns whether they did.
    fn end(&self, clock: &Clock, room_id: &RoomId, user_id: &UserId, began: Option<i64>) -> bool {
        let mut rooms = self.lock();
        let Some(room) = rooms.rooms.get_mut(room_id) else { return false };
        let is_it = |entry: &Entry| began.is_none_or(|began| entry.began == began);
        if !room.typing.get(user_id).is_some_and(is_it) {
            return false;
        }
        room.typing.remove(user_id);
        rooms.change(clock, room_id);
        rooms.forget_quiet();
        true
    }

    /// When somebody will have stopped who began by this change.
    fn ends(&self, room_id: &RoomId, user_id: &UserId, began: i64) -> Option<Instant> {
        let rooms = self.lock();
        let entry = rooms.rooms.get(room_id)?.typing.get(user_id)?;
        (entry.began == began).then_some(entry.ends)
    }

    fn lock(&self) -> MutexGuard<'_, Rooms> {
        // Nothing panics while it is held; were it to, the maps are still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    fn change(&mut self, clock: &Clock, room_id: &RoomId) -> i64 {
        let changed = clock.tick();
        let room = self.rooms.entry(room_id.clone()).or_default();
        self.changes.remove(&std::mem::replace(&mut room.changed, changed));
        self.changes.insert(changed, room_id.clone());
        changed
    }

    /// Forgets the rooms that have been quiet for longest, when there are too many.
    fn forget_quiet(&mut self) {
        while self.changes.len() > MAX_QUIET_ROOMS {
            let is_quiet = |room_id: &RoomId| self.rooms.get(room_id).is_none_or(|room| room.typing.is_empty());
            let quiet = self.changes.iter().find(|(_, room_id)| is_quiet(room_id));
            let Some((changed, room_id)) = quiet.map(|(changed, room_id)| (*changed, room_id.clone())) else { break };
            self.changes.remove(&changed);
            self.rooms.remove(&room_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(format!("@{name}:a.test")).unwrap()
    }

    #[test]
    fn only_what_begins_and_ends_is_a_change() {
        let (typing, clock, later) = (Typing::default(), Clock::default(), Instant::now() + MAX_TIMEOUT);
        let (room, alice) = (RoomId::parse("!r:a.test").unwrap(), user("alice"));
        let start = clock.now();
        let began = typing.begin(&clock, &room, &alice, later).unwrap();
        assert_eq!(typing.begin(&clock, &room, &alice, later), None);
        assert_eq!((typing.in_room(&room), typing.changed(start)), (vec![alice.clone()], vec![room.clone()]));
        assert!(typing.changed(began).is_empty());
        assert!(!typing.end(&clock, &room, &alice, Some(began - 1)), "that was an earlier time");
        assert!(typing.end(&clock, &room, &alice, Some(began)) && !typing.end(&clock, &room, &alice, None));
        assert_eq!((typing.in_room(&room), typing.changed(began)), (vec![], vec![room]));
    }

    #[test]
    fn rooms_that_are_quiet_for_long_are_forgotten() {
        let (typing, clock, later) = (Typing::default(), Clock::default(), Instant::now() + MAX_TIMEOUT);
        let (start, alice) = (clock.now(), user("alice"));
        let room = |n: usize| RoomId::parse(format!("!r{n}:a.test")).unwrap();
        typing.begin(&clock, &room(0), &alice, later).unwrap();
        for n in 1..=MAX_QUIET_ROOMS + 10 {
            typing.begin(&clock, &room(n), &alice, later).unwrap();
            typing.end(&clock, &room(n), &alice, None);
        }
        let kept = typing.changed(start);
        assert_eq!((kept.len(), &kept[0]), (MAX_QUIET_ROOMS, &room(0)), "somebody types there");
        assert_eq!(kept.last(), Some(&room(MAX_QUIET_ROOMS + 10)));
    }
}
