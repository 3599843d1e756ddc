//! Who is there ("Presence" in Matrix's specification). It is kept in memory: a server that starts again knows of nobody.
//!
//! Each device of a user says for itself whether it is there, by syncing or in so many words; the user is what the
//! liveliest of them is. What other servers tell of their users is noted in the same place, as of one device.

mod elsewhere;
mod rooms;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};
use ruma::presence::PresenceState;
use tokio::time::{Instant, sleep_until};

use crate::error::ApiResult;
use crate::fleeting::Clock;
use crate::session::Session;
use crate::state::Api;

pub(crate) use elsewhere::{Outbox, note_elsewhere, tell_servers};
pub(crate) use rooms::Resting;

/// After so long without a sync or a word from a device it counts as offline. A sync waits for less.
const GONE_AFTER: Duration = Duration::from_secs(120);
/// After so long in which they did nothing, somebody who is online counts as unavailable.
const IDLE_AFTER: Duration = Duration::from_secs(5 * 60);
/// Users that are remembered; when there are more, those who have been offline for longest are forgotten.
const MAX_PEOPLE: usize = 100_000;
/// Devices of a user that are remembered.
const MAX_DEVICES: usize = 64;
/// Rooms that are woken for a change, those with the newest events. In others it is told along with the next news.
const MAX_ROOMS_WOKEN: usize = 100;

/// What a user can be.
pub(crate) const KNOWN: [PresenceState; 3] =
    [PresenceState::Online, PresenceState::Unavailable, PresenceState::Offline];

/// Who is there.
#[derive(Debug, Default)]
pub(crate) struct Presence(Mutex<People>);

#[derive(Debug, Default)]
struct People {
    people: HashMap<UserId, Person>,
    /// Everyone by their last change.
    changes: BTreeMap<i64, UserId>,
}

/// What is known of a user.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// What they are, as was told last.
    pub(crate) state: PresenceState,
    /// What they say about it.
    pub(crate) status_msg: Option<String>,
    /// When they last did something.
    active: Instant,
    devices: HashMap<String, Device>,
    changed: i64,
    /// Whether somebody looks after the end of it.
    watched: bool,
    /// Whether it is another server that says what they are: it looks itself whether they do anything.
    is_elsewhere: bool,
}

#[derive(Debug, Clone)]
struct Device {
    /// What it said last.
    said: PresenceState,
    /// When something was last heard of it.
    seen: Instant,
    /// How long that counts.
    lasts: Duration,
}

/// A device says whether its user is there, and what they say about it.
pub(crate) fn set(api: &Api, session: &Session, said: PresenceState, status_msg: Option<String>) {
    note(api, session, said, Some(status_msg));
}

/// A device syncs, which makes its user what it says ("set_presence" in the specification). With `offline` it only does
/// not make them online: what was said of them before counts as long as it would have. Nor does an administrator who acts
/// as them.
pub(crate) fn syncs(api: &Api, session: &Session, said: PresenceState) {
    let is_there = said != PresenceState::Offline && session.user_token().is_none();
    if KNOWN.contains(&said) && is_there {
        note(api, session, said, None);
    }
}

/// A user did something that shows that they are there.
pub(crate) fn did_something(api: &Api, user_id: &UserId) {
    if api.config.presence && api.presence.act(&api.clock, user_id, Instant::now()) {
        tell_later(api, user_id);
    }
}

fn note(api: &Api, session: &Session, said: PresenceState, status_msg: Option<Option<String>>) {
    if !api.config.presence {
        return;
    }
    let user_id = &session.user_id;
    let noted = api.presence.note(&api.clock, user_id, &session.device_id, said, status_msg, Instant::now());
    if noted.watch {
        api.background.spawn(watch(api.clone(), user_id.clone()));
    }
    if noted.changed {
        tell_later(api, user_id);
    }
}

/// There is one of these for everyone who is not offline.
async fn watch(api: Api, user_id: UserId) {
    loop {
        let (changed, next) = api.presence.pass(&api.clock, &user_id, Instant::now());
        if changed {
            tell_later(&api, &user_id);
        }
        match next {
            Some(next) => sleep_until(next).await,
            None => return,
        }
    }
}

/// Nobody who makes a request waits until others know.
fn tell_later(api: &Api, user_id: &UserId) {
    let (background, api, user_id) = (&api.background, api.clone(), user_id.clone());
    background.spawn(async move {
        if let Err(error) = tell(&api, &user_id).await {
            tracing::info!(%user_id, ?error, "nobody was told whether a user is there");
        }
    });
}

async fn tell(api: &Api, user_id: &UserId) -> ApiResult<()> {
    if user_id.server_str() == api.config.server_name.as_str() {
        api.notifier.wake(user_id);
        api.outbox.put(user_id.clone());
    }
    newest_rooms(api, user_id).await?.for_each(|room_id| rooms::tell(api, room_id));
    Ok(())
}

/// The rooms of a user that are told of a change.
async fn newest_rooms(api: &Api, user_id: &UserId) -> ApiResult<impl Iterator<Item = RoomId> + use<>> {
    let mut rooms = api.store.user_rooms(user_id).await?;
    rooms.retain(|room| room.membership == Membership::Join);
    rooms.sort_by_key(|room| std::cmp::Reverse(room.room_stream));
    Ok(rooms.into_iter().take(MAX_ROOMS_WOKEN).map(|room| room.room_id))
}

/// What became of what a device said.
#[derive(Debug, PartialEq, Eq)]
struct Noted {
    /// The user is something else now.
    changed: bool,
    /// Nobody looks after the end of it yet.
    watch: bool,
}

impl Presence {
    /// What is known of a user; `None`: nothing since the server started.
    pub(crate) fn of(&self, user_id: &UserId) -> Option<Person> {
        self.lock().people.get(user_id).cloned()
    }

    /// Who changed after a moment, at most so many, the newest changes first.
    pub(crate) fn changed(&self, since: i64, limit: usize) -> Vec<UserId> {
        let people = self.lock();
        people.changes.range(since.saturating_add(1)..).rev().take(limit).map(|(_, user_id)| user_id.clone()).collect()
    }

    fn note(
        &self,
        clock: &Clock,
        user_id: &UserId,
        device_id: &str,
        said: PresenceState,
        status_msg: Option<Option<String>>,
        now: Instant,
    ) -> Noted {
        let mut people = self.lock();
        let says_nothing = said == PresenceState::Offline && status_msg.as_ref().is_none_or(Option::is_none);
        if says_nothing && !people.people.contains_key(user_id) {
            return Noted { changed: false, watch: false };
        }
        let person = people.people.entry(user_id.clone()).or_insert_with(|| Person::new(now));
        let same_text = status_msg.as_ref().is_none_or(|text| *text == person.status_msg);
        // Only a word, and coming, is something that its user did: a client that syncs may be alone.
        let said_before = person.devices.get(device_id).map_or(PresenceState::Offline, |device| device.of(now));
        if said == PresenceState::Online && (status_msg.is_some() || said_before != said) {
            person.active = now;
        }
        if let Some(text) = status_msg {
            person.status_msg = text;
        }
        person.put_device(device_id, Device { said, seen: now, lasts: GONE_AFTER }, now);
        let changed = people.settle(clock, user_id, !same_text, now);
        people.forget_some(MAX_PEOPLE);
        let watch = people.people.get_mut(user_id).is_some_and(Person::begin_watch);
        Noted { changed, watch }
    }

    /// Somebody did something. Returns whether that changes what they are.
    fn act(&self, clock: &Clock, user_id: &UserId, now: Instant) -> bool {
        let mut people = self.lock();
        let Some(person) = people.people.get_mut(user_id) else { return false };
        person.active = now;
        people.settle(clock, user_id, false, now)
    }

    /// Time has passed. Returns whether somebody became something else by that, and when to look again; never for who
    /// is offline.
    fn pass(&self, clock: &Clock, user_id: &UserId, now: Instant) -> (bool, Option<Instant>) {
        let mut people = self.lock();
        let changed = people.settle(clock, user_id, false, now);
        let Some(person) = people.people.get_mut(user_id) else { return (changed, None) };
        let next = person.next(now);
        person.watched = next.is_some();
        (changed, next)
    }

    fn lock(&self) -> MutexGuard<'_, People> {
        // Nothing panics while it is held; were it to, the maps are still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl People {
    /// Brings what a user is up to date; whether that, or something else (`other`), is news.
    fn settle(&mut self, clock: &Clock, user_id: &UserId, other: bool, now: Instant) -> bool {
        let Some(person) = self.people.get_mut(user_id) else { return false };
        person.devices.retain(|_, device| device.ends() > now);
        let state = person.at(now);
        if state == person.state && !other {
            return false;
        }
        person.state = state;
        let changed = clock.tick();
        self.changes.remove(&std::mem::replace(&mut person.changed, changed));
        self.changes.insert(changed, user_id.clone());
        true
    }

    /// Forgets who has been offline for longest, when there are more than so many.
    fn forget_some(&mut self, most: usize) {
        while self.people.len() > most {
            let is_gone = |user_id: &UserId| {
                self.people.get(user_id).is_none_or(|person| person.state == PresenceState::Offline && !person.watched)
            };
            let gone = self.changes.iter().find(|(_, user_id)| is_gone(user_id));
            let Some((changed, user_id)) = gone.map(|(changed, user_id)| (*changed, user_id.clone())) else { break };
            self.changes.remove(&changed);
            self.people.remove(&user_id);
        }
    }
}

impl Person {
    /// Somebody of whom nothing is known.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: PresenceState::Offline,
            status_msg: None,
            active: now,
            devices: HashMap::new(),
            changed: 0,
            watched: false,
            is_elsewhere: false,
        }
    }

    /// Whether they are active now, as far as is known: who has not been for long is not online any more.
    pub(crate) fn is_active(&self) -> bool {
        self.state == PresenceState::Online
    }

    /// For how long they have done nothing.
    pub(crate) fn inactive_for(&self) -> Duration {
        self.active.elapsed()
    }

    /// What they are at a time.
    fn at(&self, now: Instant) -> PresenceState {
        let states: Vec<PresenceState> = self.devices.values().map(|device| device.of(now)).collect();
        let is_idle = !self.is_elsewhere && now.saturating_duration_since(self.active) >= IDLE_AFTER;
        if states.contains(&PresenceState::Online) && !is_idle {
            PresenceState::Online
        } else if states.iter().any(|state| *state != PresenceState::Offline) {
            PresenceState::Unavailable
        } else {
            PresenceState::Offline
        }
    }

    /// When they may be something else, if nothing is heard of them.
    fn next(&self, now: Instant) -> Option<Instant> {
        let ends = self.devices.values().filter(|device| device.of(now) != PresenceState::Offline).map(Device::ends);
        let may_idle = self.state == PresenceState::Online && !self.is_elsewhere;
        let idle = may_idle.then(|| self.active + IDLE_AFTER);
        ends.chain(idle).min()
    }

    fn begin_watch(&mut self) -> bool {
        self.state != PresenceState::Offline && !std::mem::replace(&mut self.watched, true)
    }

    fn put_device(&mut self, device_id: &str, device: Device, now: Instant) {
        if self.devices.len() >= MAX_DEVICES && !self.devices.contains_key(device_id) {
            self.devices.retain(|_, device| device.ends() > now);
            let oldest = self.devices.iter().min_by_key(|(_, device)| device.seen).map(|(id, _)| id.clone());
            if let Some(oldest) = oldest.filter(|_| self.devices.len() >= MAX_DEVICES) {
                self.devices.remove(&oldest);
            }
        }
        self.devices.insert(device_id.to_owned(), device);
    }
}

impl Device {
    fn of(&self, now: Instant) -> PresenceState {
        if self.ends() > now { self.said.clone() } else { PresenceState::Offline }
    }

    fn ends(&self) -> Instant {
        self.seen + self.lasts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PresenceState::{Offline, Online, Unavailable};

    struct Test {
        presence: Presence,
        clock: Clock,
        start: Instant,
        alice: UserId,
    }

    impl Test {
        fn new() -> Self {
            let alice = UserId::parse("@alice:a.test").unwrap();
            Self { presence: Presence::default(), clock: Clock::default(), start: Instant::now(), alice }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        /// Whether it is news that a device syncs.
        fn syncs(&self, device: &str, said: PresenceState, at: u64) -> bool {
            self.presence.note(&self.clock, &self.alice, device, said, None, self.at(at)).changed
        }

        fn pass(&self, at: u64) -> (PresenceState, bool) {
            let (changed, _) = self.presence.pass(&self.clock, &self.alice, self.at(at));
            (self.presence.of(&self.alice).unwrap().state, changed)
        }
    }

    #[test]
    fn the_liveliest_device_counts() {
        let test = Test::new();
        assert!(test.syncs("DESK", Online, 0));
        assert!(!test.syncs("PHONE", Unavailable, 1) && !test.syncs("DESK", Online, 2), "no news");
        assert_eq!(test.pass(3), (Online, false));
        assert!(test.syncs("DESK", Offline, 4));
        assert_eq!(test.pass(5), (Unavailable, false));
        let again = test.presence.note(&test.clock, &test.alice, "DESK", Online, None, test.at(6));
        assert_eq!(again, Noted { changed: true, watch: false }, "somebody watches already");
    }

    #[test]
    fn who_is_not_heard_of_goes_and_comes_back() {
        let test = Test::new();
        let start = test.clock.now();
        assert!(test.syncs("A", Online, 0));
        let (_, next) = test.presence.pass(&test.clock, &test.alice, test.at(1));
        assert_eq!(next, Some(test.at(GONE_AFTER.as_secs())));
        assert_eq!(test.pass(GONE_AFTER.as_secs() - 1), (Online, false));
        assert_eq!(test.pass(GONE_AFTER.as_secs()), (Offline, true));
        assert_eq!(test.presence.pass(&test.clock, &test.alice, test.at(1000)), (false, None));
        assert_eq!(
            test.presence.changed(start, 9),
            std::slice::from_ref(&test.alice),
            "once, however often it changed"
        );
        let back = test.presence.note(&test.clock, &test.alice, "A", Online, None, test.at(1001));
        assert_eq!(back, Noted { changed: true, watch: true });
        assert_eq!(test.pass(1002), (Online, false));
    }

    #[test]
    fn who_does_nothing_is_away_until_they_do_something() {
        let test = Test::new();
        for at in (0..=300).step_by(30) {
            test.syncs("A", Online, at);
        }
        assert_eq!(test.pass(301).0, Unavailable, "syncing is nothing that a person does");
        assert!(test.presence.act(&test.clock, &test.alice, test.at(302)));
        assert_eq!(test.pass(303), (Online, false));
        let word = test.presence.note(&test.clock, &test.alice, "A", Online, Some(Some("Tea".into())), test.at(304));
        assert!(word.changed, "there is a new text");
    }

    #[test]
    fn only_so_many_are_remembered() {
        let test = Test::new();
        let user = |n: usize| UserId::parse(format!("@u{n}:a.test")).unwrap();
        test.syncs("A", Online, 0);
        for n in 0..MAX_PEOPLE + 5 {
            let said = Some(Some("Bye".to_owned()));
            test.presence.note(&test.clock, &user(n), "A", Offline, said, test.at(1));
        }
        let people = test.presence.lock();
        assert_eq!((people.people.len(), people.changes.len()), (MAX_PEOPLE, MAX_PEOPLE));
        assert!(people.people.contains_key(&test.alice), "she is there");
        assert!(!people.people.contains_key(&user(0)) && people.people.contains_key(&user(MAX_PEOPLE + 4)));
    }
}
