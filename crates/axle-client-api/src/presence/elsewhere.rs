//! Between servers: others are told of changes of our users, several at a time, and tell of theirs.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axle_protocol::UserId;
use ruma::presence::PresenceState;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::{Device, MAX_PEOPLE, MAX_ROOMS_WOKEN, Noted, Person, Presence, newest_rooms, rooms, watch};
use crate::error::ApiResult;
use crate::fleeting::Clock;
use crate::servers::{Availability, PresenceUpdate};
use crate::state::Api;

/// Changes that come so close together are told together.
const GATHER: Duration = Duration::from_secs(1);
/// After so long it is told again that somebody is there: other servers believe it for half an hour, as this one does.
const AGAIN_AFTER: Duration = Duration::from_secs(25 * 60);
/// What another server says of a user counts for so long.
const BELIEVED_FOR: Duration = Duration::from_secs(30 * 60);
/// What another server says is noted as if one device of the user said it.
const THEIR_DEVICE: &str = "";

/// Users of this server of whom others are to be told.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<BTreeSet<UserId>>,
    changed: Notify,
}

impl Outbox {
    pub(super) fn put(&self, user_id: UserId) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(user_id);
        self.changed.notify_one();
    }

    fn take(&self) -> BTreeSet<UserId> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells other servers of changes, as they come.
pub(crate) async fn tell_servers(api: &Api) {
    if !api.config.presence {
        return;
    }
    let mut again = interval_at(Instant::now() + AGAIN_AFTER, AGAIN_AFTER);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut users = BTreeSet::new();
        tokio::select! {
            () = api.outbox.changed.notified() => sleep(GATHER).await,
            _ = again.tick() => users = api.presence.here(),
        }
        users.extend(api.outbox.take());
        let updates = users.into_iter().filter_map(|user_id| {
            let person = api.presence.of(&user_id)?;
            Some(person.update(user_id))
        });
        api.servers.presence(updates.collect()).await;
    }
}

/// Another server says of users of its whether they are there. Who is in none of our rooms is ignored. However much it
/// says at once, a bounded number of rooms is woken.
pub(crate) async fn note_elsewhere(api: &Api, updates: Vec<PresenceUpdate>) -> ApiResult<()> {
    if !api.config.presence {
        return Ok(());
    }
    let mut woken = BTreeSet::new();
    for update in updates {
        let user_id = update.user_id.clone();
        let mut rooms = newest_rooms(api, &user_id).await?.peekable();
        if rooms.peek().is_none() {
            continue;
        }
        let noted = api.presence.note_elsewhere(&api.clock, update, Instant::now());
        if noted.watch {
            api.background.spawn(watch(api.clone(), user_id));
        }
        if noted.changed {
            woken.extend(rooms.take(MAX_ROOMS_WOKEN.saturating_sub(woken.len())));
        }
    }
    woken.into_iter().for_each(|room_id| rooms::tell(api, room_id));
    Ok(())
}

impl Presence {
    /// Users of this server who are there.
    fn here(&self) -> BTreeSet<UserId> {
        let people = self.lock();
        let is_here = |person: &Person| !person.is_elsewhere && person.state != PresenceState::Offline;
        people.people.iter().filter(|(_, person)| is_here(person)).map(|(user_id, _)| user_id.clone()).collect()
    }

    fn note_elsewhere(&self, clock: &Clock, update: PresenceUpdate, now: Instant) -> Noted {
        let nothing = Noted { changed: false, watch: false };
        let PresenceUpdate { user_id, availability, status_msg, inactive_for } = update;
        let mut people = self.lock();
        if !people.people.contains_key(&user_id) {
            people.forget_some(MAX_PEOPLE - 1);
            let says_nothing = availability == Availability::Offline && status_msg.is_none();
            if says_nothing || people.people.len() >= MAX_PEOPLE {
                return nothing;
            }
        }
        let person = people.people.entry(user_id.clone()).or_insert_with(|| Person::new(now));
        person.is_elsewhere = true;
        let other_text = person.status_msg != status_msg;
        person.status_msg = status_msg;
        if let Some(active) = inactive_for.and_then(|inactive_for| now.checked_sub(inactive_for)) {
            person.active = active;
        }
        person.put_device(THEIR_DEVICE, Device { said: availability.into(), seen: now, lasts: BELIEVED_FOR }, now);
        let changed = people.settle(clock, &user_id, other_text, now);
        let watch = people.people.get_mut(&user_id).is_some_and(Person::begin_watch);
        Noted { changed, watch }
    }
}

impl Person {
    fn update(self, user_id: UserId) -> PresenceUpdate {
        let availability = match self.state {
            PresenceState::Online => Availability::Online,
            PresenceState::Offline => Availability::Offline,
            _ => Availability::Unavailable,
        };
        PresenceUpdate { user_id, availability, inactive_for: Some(self.inactive_for()), status_msg: self.status_msg }
    }
}

impl From<Availability> for PresenceState {
    fn from(availability: Availability) -> Self {
        match availability {
            Availability::Online => Self::Online,
            Availability::Unavailable => Self::Unavailable,
            Availability::Offline => Self::Offline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(name: &str, availability: Availability, status_msg: Option<&str>) -> PresenceUpdate {
        PresenceUpdate {
            user_id: UserId::parse(format!("@{name}:b.test")).unwrap(),
            availability,
            status_msg: status_msg.map(str::to_owned),
            inactive_for: Some(Duration::from_secs(3600)),
        }
    }

    #[test]
    fn another_server_is_believed_for_a_while() {
        let (presence, clock, start) = (Presence::default(), Clock::default(), Instant::now() + BELIEVED_FOR);
        let noted = presence.note_elsewhere(&clock, update("bob", Availability::Online, None), start);
        assert_eq!(noted, Noted { changed: true, watch: true });
        let bob = update("bob", Availability::Online, None).user_id;
        let at = |after: Duration| {
            let (changed, next) = presence.pass(&clock, &bob, start + after);
            (presence.of(&bob).unwrap().state, changed, next)
        };
        // It looks itself whether they do anything.
        let end = start + BELIEVED_FOR;
        assert_eq!(at(Duration::from_secs(20 * 60)), (PresenceState::Online, false, Some(end)));
        assert_eq!(at(BELIEVED_FOR), (PresenceState::Offline, true, None));
        assert!(presence.here().is_empty(), "they are not this server's");
        let again = presence.note_elsewhere(&clock, update("bob", Availability::Offline, None), end);
        assert!(!again.changed, "no news");
        let word = presence.note_elsewhere(&clock, update("bob", Availability::Offline, Some("Bye")), end);
        assert!(word.changed, "there is a new text");
    }

    #[test]
    fn other_servers_do_not_fill_the_memory() {
        let (presence, clock, now) = (Presence::default(), Clock::default(), Instant::now());
        for n in 0..MAX_PEOPLE + 5 {
            presence.note_elsewhere(&clock, update(&format!("u{n}"), Availability::Online, None), now);
        }
        assert_eq!(presence.lock().people.len(), MAX_PEOPLE);
        let stranger = presence.note_elsewhere(&clock, update("stranger", Availability::Offline, None), now);
        assert!(!stranger.changed && presence.of(&update("stranger", Availability::Offline, None).user_id).is_none());
    }
}
