//! The parts of [`super::Encryption`] that talk to the server, and what they share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axle_mls::Credential;
use axle_protocol::{RoomId, UserId};
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use super::answers::GroupAnswer;
use super::core::Core;
use super::{EncryptionError, Homeserver, Notice};
use crate::Error;
use crate::backoff::doubled;
use crate::client::random;

/// How often something is tried on a group before it is left for later.
pub(super) const MAX_TRIES: u32 = 8;
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// After a failure, how many first pauses a room is left alone.
const REST_PAUSES: u32 = 100;
/// How often all rooms are looked at without a reason.
const ROUND: Duration = Duration::from_secs(15 * 60);
/// How long after a change what it replaced may still be read in the file of keys: so long several changes share the work.
const WIPE_AFTER: Duration = Duration::from_millis(500);
/// How long a user's devices are not asked for again whose server has not answered.
const UNANSWERED: Duration = Duration::from_secs(60);
/// Before the code of a refusal of the hub.
const REFUSAL: &str = "IM.AXLE.MLS.";

/// How long to leave things to others.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a device waits for a Welcome before it joins by itself.
    pub welcome: Duration,
    /// How long the devices of others than those who are responsible wait before they add and remove devices.
    pub turn: Duration,
    /// The first pause after a refusal.
    pub retry: Duration,
    /// How long the others wait for the first commit of who has made a room.
    pub creator: Duration,
    /// How long a device keeps the keys at most that it was let in with, in a small group.
    pub renew: Duration,
}

/// Tells the time, in seconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The system's time.
pub fn system_clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()))
}

impl Default for Pace {
    fn default() -> Self {
        let (welcome, turn, retry) = (Duration::from_secs(6), Duration::from_secs(3), Duration::from_millis(200));
        Self { welcome, turn, retry, creator: Duration::from_secs(30), renew: Duration::from_secs(10 * 60) }
    }
}

/// What is to be done next for a room's group.
pub(super) enum Step {
    /// Nothing.
    Done,
    /// More, at once.
    Again,
    /// More, after this long.
    Wait(Duration),
    /// Others should do it; if they have not after this long, this device does.
    Turn(Duration),
    /// The hub did not take it, with this code; more, after a pause that grows.
    Refused(String),
}

pub(super) struct Engine {
    pub(super) server: Arc<dyn Homeserver>,
    pub(super) pace: Pace,
    core: Mutex<Core>,
    /// One thing at a time is done to each group.
    locks: Mutex<HashMap<RoomId, Arc<tokio::sync::Mutex<()>>>>,
    pub(super) uploads: tokio::sync::Mutex<()>,
    pub(super) chores: Mutex<Chores>,
    wiping: AtomicBool,
}

/// What is to be done besides rooms.
#[derive(Default)]
pub(super) struct Chores {
    pub(super) busy: bool,
    /// What the server has left of this device's KeyPackages, if it is too little: how many, and whether there is one of
    /// last resort.
    pub(super) keys: Option<(u64, bool)>,
    pub(super) welcomes: bool,
    last_round: Option<Instant>,
}

impl Engine {
    pub(super) fn new(server: Arc<dyn Homeserver>, core: Core, pace: Pace) -> Self {
        let (locks, uploads) = (Mutex::default(), tokio::sync::Mutex::default());
        // Left from before this program began.
        let chores = Mutex::new(Chores { welcomes: true, ..Chores::default() });
        let wiping = AtomicBool::new(false);
        Self { server, pace, core: Mutex::new(core), locks, uploads, chores, wiping }
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn chores(&self) -> MutexGuard<'_, Chores> {
        self.chores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether [`Self::wipe`] is to be called: not if somebody is about to.
    pub(super) fn is_to_wipe(&self) -> bool {
        !self.wiping.swap(true, Ordering::Relaxed)
    }

    /// Has the store forget what it replaced, after a while.
    pub(super) async fn wipe(&self) {
        tokio::time::sleep(WIPE_AFTER).await;
        // First: what changes from here on is another's to wipe.
        self.wiping.store(false, Ordering::Relaxed);
        let wiped = self.core().wipe_used_keys();
        if let Err(error) = wiped {
            tracing::warn!(%error, "keys that were used up are still in the store");
        }
    }

    /// Waits until nobody else does anything to this group.
    pub(super) async fn lock(&self, id: &RoomId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(id.clone()).or_default())
        };
        lock.lock_owned().await
    }

    /// The rooms that something has to be done for; they are marked as being worked on.
    pub(super) fn rooms_with_work(&self) -> Vec<RoomId> {
        let now = Instant::now();
        let round = {
            let mut chores = self.chores();
            let due = chores.last_round.is_none_or(|last| now.duration_since(last) > ROUND);
            if due {
                chores.last_round = Some(now);
            }
            due
        };
        let mut core = self.core();
        let seconds = core.now();
        let mut found = Vec::new();
        for (id, room) in &mut core.rooms {
            let rests = room.rest_until.is_some_and(|until| until > now);
            let has_old_keys = room.update_at.is_some_and(|at| at <= seconds);
            let is_due = room.work || round || has_old_keys || room.look_again.is_some_and(|at| at <= now);
            if room.layering().is_some() && room.synced && !room.busy && !rests && is_due {
                (room.busy, room.rest_until, room.look_again, room.update_at) = (true, None, None, None);
                found.push(id.clone());
            }
        }
        found
    }

    /// Does what has to be done for a room's group, until there is nothing more.
    pub(super) async fn work_on(&self, id: &RoomId) {
        loop {
            self.core().room(id).work = false;
            let outcome = self.tend(id).await;
            let mut core = self.core();
            let room = core.room(id);
            if let Err(error) = outcome {
                tracing::debug!(%error, room = %id, "a group cannot be tended");
                (room.busy, room.work, room.rest_until) =
                    (false, true, Some(Instant::now() + self.pace.retry * REST_PAUSES));
                if !error.is_transient() {
                    core.tell(Notice::Trouble { room_id: Some(id.to_string()), reason: error.to_string() });
                }
                return;
            }
            if !room.work {
                room.busy = false;
                return;
            }
        }
    }

    /// The group as the hub has it; `None` if there is none yet.
    pub(super) async fn group(&self, id: &RoomId) -> Result<Option<GroupAnswer>, Error> {
        match self.server.group(id.as_str(), None).await {
            Ok(answer) => Ok(Some(GroupAnswer::read(&answer)?)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The group of a room that has one.
    pub(super) async fn group_of(&self, id: &RoomId) -> Result<GroupAnswer, Error> {
        self.group(id).await?.ok_or_else(|| EncryptionError::Answer("the room's group is gone").into())
    }

    /// Learns which devices these users have published, of those where it is not known.
    pub(super) async fn learn_devices(&self, users: &[UserId]) -> Result<(), Error> {
        /// Users that are asked about at once.
        const BATCH: usize = 200;
        let unknown: Vec<String> = {
            let mut core = self.core();
            core.asked_for.retain(|_, asked| asked.elapsed() < UNANSWERED);
            let is_unknown =
                |user: &&UserId| !core.published.contains_key(*user) && !core.asked_for.contains_key(*user);
            let unknown: Vec<UserId> = users.iter().filter(is_unknown).cloned().collect();
            core.asked_for.extend(unknown.iter().map(|user| (user.clone(), Instant::now())));
            unknown.iter().map(UserId::to_string).collect()
        };
        for batch in unknown.chunks(BATCH) {
            let answer = self.server.query_keys(batch).await;
            let mut core = self.core();
            if answer.is_err() {
                // The own server, which will be asked again.
                core.asked_for.clear();
            }
            for (user, objects) in answer? {
                let Ok(user) = UserId::parse(&user) else { continue };
                // Not what has changed since it was asked for.
                if core.asked_for.remove(&user).is_none() {
                    continue;
                }
                let devices = objects.into_iter().filter_map(|(id, object)| published(&user, id, object));
                let devices: BTreeMap<String, Credential> = devices.collect();
                core.published.insert(user, devices);
            }
        }
        Ok(())
    }

    /// A pause that grows with each try, and is another for everyone.
    pub(super) fn pause(&self, tries: u32) -> Duration {
        let longest = doubled(self.pace.retry, tries).min(LONGEST_PAUSE);
        longest / 2 + part_of(longest / 2)
    }
}

/// A device object that its user's server publishes, if it is what it should be.
fn published(user: &UserId, device_id: String, mut object: Value) -> Option<(String, Credential)> {
    // The server's, such as the device's name: no part of what the device has signed.
    object.as_object_mut()?.remove("unsigned");
    let info = axle_mls::DeviceInfo::parse(&object.to_string()).ok()?;
    let is_its_own = info.user_id() == user && info.device_id() == device_id;
    (is_its_own && info.supports_mls()).then(|| (device_id, info.credential().clone()))
}

/// A random part of a time.
pub(super) fn part_of(whole: Duration) -> Duration {
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random() % millis.max(1))
}

/// The code of a refusal of the hub, such as `WRONG_EPOCH`.
pub(super) fn refusal_of(error: &Error) -> Option<&str> {
    error.errcode()?.strip_prefix(REFUSAL)
}

/// Whether a refusal says that the group has moved on.
pub(super) fn is_stale(code: &str) -> bool {
    matches!(code, "WRONG_EPOCH" | "WRONG_PARENT" | "OUTDATED")
}

pub(super) fn is_not_found(error: &Error) -> bool {
    error.api().is_some_and(|error| error.status == 404)
}

/// Whether the server has certainly not done what was asked.
pub(super) fn is_definite(error: &Error) -> bool {
    error.api().is_some_and(|error| (400..500).contains(&error.status) && error.status != 429)
}

pub(super) fn refused(code: String) -> Error {
    EncryptionError::Refused(code).into()
}
