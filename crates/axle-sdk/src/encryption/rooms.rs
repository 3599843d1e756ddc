//! What syncs tell of rooms, as far as encryption needs it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axle_mls::event::CommitContent;
use axle_mls::{CheckedKeyPackage, Credential, Layering, RoomEncryption};
use axle_protocol::{EventId, RoomVersion, UserId};
use serde_json::{Map, Value};

use super::RoomStatus;
use super::bindings::Doubtful;
use crate::Event;

/// Messages that wait for their keys, in one room. The oldest are dropped: a page of history shows them again.
const MAX_WAITING: usize = 200;
/// How long a device that has no KeyPackage left is not asked for one again.
const WITHOUT_PACKAGE: Duration = Duration::from_secs(60);
/// How long a device is not tried again, at most, that the hub does not take.
const LONGEST_LEFT_OUT: Duration = Duration::from_secs(15 * 60);
/// Devices that are left out, of which it is remembered how often.
const MAX_LEFT_OUT: usize = 1000;

/// How a room says it is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cipher {
    Plain,
    Mls(Layering),
    Unknown(String),
}

/// A room that the user is in.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) cipher: Option<Cipher>,
    pub(super) creator: Option<UserId>,
    /// The create event, and that of the power levels.
    pub(super) create: Option<EventId>,
    pub(super) power_levels: Option<EventId>,
    /// What the power levels say.
    pub(super) powers: Map<String, Value>,
    /// Whether everybody may read the room.
    pub(super) world_readable: bool,
    /// Whether some of the history may be hidden from this user.
    pub(super) hides_history: bool,
    pub(super) joined: BTreeMap<UserId, Joined>,
    invited: BTreeMap<UserId, UserId>,
    /// Messages that cannot be decrypted yet.
    pub(super) waiting: Vec<Event>,
    /// Commits that are to be compared with the room.
    pub(super) doubtful: Vec<Doubtful>,
    /// Something may have to be done for the group.
    pub(super) work: bool,
    /// It is being done.
    pub(super) busy: bool,
    /// Commits are missing, or one could not be applied: the hub is to be asked.
    pub(super) behind: bool,
    /// This device has lost track and joins again by itself.
    pub(super) lost: bool,
    /// Commits that could not be applied and were reported.
    pub(super) reported: Vec<EventId>,
    /// How often the hub was asked for what is missing.
    pub(super) asked: u32,
    /// After a failure, nothing is tried before this.
    pub(super) rest_until: Option<Instant>,
    /// Devices that had no KeyPackage left, or that the hub does not take.
    left_out: BTreeMap<(UserId, String), LeftOut>,
    /// KeyPackages that were claimed for a commit that did not get in: they are not used up.
    pub(super) claimed: BTreeMap<(UserId, String), CheckedKeyPackage>,
    /// How many devices are added at once, if fewer than usual: one of them is not taken, and it is not known which.
    pub(super) at_once: Option<usize>,
    /// Since when this device should be in the group and is not.
    pub(super) outside_since: Option<Instant>,
    /// How often another copy of this device has put it out of its place.
    pub(super) displaced: u32,
    /// Before this, it does not come in anew.
    pub(super) comes_in_at: Option<Instant>,
    /// When this device makes the group, if nobody else has made it.
    pub(super) takes_over_at: Option<Instant>,
    /// What was told of it.
    pub(super) told: Option<RoomStatus>,
    /// Whether a sync has told of it since this program began.
    pub(super) synced: bool,
    /// Whether the log was read since then, up to what was known.
    pub(super) is_read: bool,
    /// When to look at the group again, though nothing has happened.
    pub(super) look_again: Option<Instant>,
    /// When this device takes new keys, in seconds since the Unix epoch; `None` before that was looked up.
    pub(super) update_at: Option<u64>,
    /// Devices that nobody publishes, since when, and whether that was told.
    pub(super) strangers: BTreeMap<(UserId, String), (Instant, bool)>,
}

/// A device that is not added for a while.
#[derive(Debug, Default)]
struct LeftOut {
    until: Option<Instant>,
    /// How often the hub has not taken it.
    times: u32,
}

/// Somebody who is in the room.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// Who invited them, if that was seen.
    pub(super) inviter: Option<UserId>,
    /// The member event that says so.
    pub(super) event_id: Option<EventId>,
}

impl Cipher {
    /// Reads the content of a create event. In other versions than those of Linearized Matrix the field means nothing.
    pub(super) fn of_create(content: &Map<String, Value>) -> Self {
        let version = content.get("room_version").and_then(Value::as_str).and_then(RoomVersion::parse);
        if version.is_some_and(RoomVersion::is_linearized) { Self::of_linearized(content) } else { Self::Plain }
    }

    /// The same of a room of Linearized Matrix.
    pub(super) fn of_linearized(content: &Map<String, Value>) -> Self {
        match RoomEncryption::of_create(content) {
            Ok(None) => Self::Plain,
            Ok(Some(encryption)) => Self::Mls(encryption.layering),
            Err(unknown) => Self::Unknown(unknown.to_string()),
        }
    }
}

impl Room {
    pub(super) fn layering(&self) -> Option<Layering> {
        match self.cipher {
            Some(Cipher::Mls(layering)) => Some(layering),
            _ => None,
        }
    }

    /// Takes in a state event. Who is joined decides who should be in the group.
    pub(super) fn fold(&mut self, event: &Event) {
        let Some(key) = &event.state_key else { return };
        match event.event_type.as_str() {
            "m.room.create" if key.is_empty() => {
                self.cipher = Some(Cipher::of_create(&event.content));
                self.creator = UserId::parse(&event.sender).ok();
                self.create = EventId::parse(&event.event_id).ok();
                self.work = true;
            }
            "m.room.power_levels" if key.is_empty() => {
                self.power_levels = EventId::parse(&event.event_id).ok();
                self.powers = event.content.clone();
            }
            "m.room.history_visibility" if key.is_empty() => {
                let visibility = event.text("history_visibility");
                self.world_readable = visibility == Some("world_readable");
                self.hides_history |= matches!(visibility, Some("joined" | "invited"));
            }
            "m.room.member" => self.fold_member(event, key),
            _ => {}
        }
    }

    fn fold_member(&mut self, event: &Event, key: &str) {
        let Ok(user) = UserId::parse(key) else { return };
        let sender = UserId::parse(&event.sender).ok();
        match (event.membership(), sender) {
            (Some("join"), _) => {
                let before = self.joined.get(&user).and_then(|joined| joined.inviter.clone());
                let inviter = self.invited.remove(&user).or(before);
                let event_id = EventId::parse(&event.event_id).ok();
                if self.joined.insert(user.clone(), Joined { inviter, event_id }).is_none() {
                    self.work = true;
                    self.try_again(&user);
                }
            }
            (membership, sender) => {
                if self.joined.remove(&user).is_some() {
                    self.work = true;
                }
                match (membership, sender) {
                    (Some("invite"), Some(sender)) => drop(self.invited.insert(user, sender)),
                    _ => drop(self.invited.remove(&user)),
                }
            }
        }
    }

    /// Takes in a member event that is in the room, as it was prepared, before a sync tells of it: who is put out is not to
    /// be let in again.
    pub(super) fn fold_prepared(&mut self, member: &Value) {
        let user = member.get("state_key").and_then(Value::as_str).and_then(|id| UserId::parse(id).ok());
        let membership = member.pointer("/content/membership").and_then(Value::as_str);
        if let (Some(user), Some("leave" | "ban")) = (user, membership) {
            self.joined.remove(&user);
        }
    }

    /// Whether the power levels let a user send commits.
    pub(super) fn may_commit(&self, user: &UserId) -> bool {
        let level = |of: Option<&Value>| of.and_then(Value::as_i64);
        let within = |key: &str, name: &str| level(self.powers.get(key).and_then(|levels| levels.get(name)));
        let needed = within("events", CommitContent::EVENT_TYPE).or_else(|| level(self.powers.get("events_default")));
        let own = within("users", user.as_str()).or_else(|| level(self.powers.get("users_default")));
        own.unwrap_or(0) >= needed.unwrap_or(0)
    }

    /// Whether a device is not to be added now.
    pub(super) fn leaves_out(&self, device: &Credential) -> bool {
        let found = self.left_out.get(&(device.user_id.clone(), device.device_id.clone()));
        found.is_some_and(|left_out| left_out.until.is_some_and(|until| until > Instant::now()))
    }

    /// When the first of those that are left out is tried again.
    pub(super) fn next_try(&self) -> Option<Instant> {
        let now = Instant::now();
        self.left_out.values().filter_map(|left_out| left_out.until).filter(|until| *until > now).min()
    }

    /// The device has no KeyPackage left. It comes in by itself.
    pub(super) fn has_no_package(&mut self, device: &Credential) {
        self.leave_out(device, |_| WITHOUT_PACKAGE);
    }

    /// The hub does not take the device: it is tried again after a pause that grows, at first this long.
    pub(super) fn is_not_taken(&mut self, device: &Credential, pause: Duration) {
        self.leave_out(device, |times| pause.saturating_mul(1 << times.min(16)).min(LONGEST_LEFT_OUT));
    }

    /// Something has changed about a user's devices: none of them is left out for what was.
    pub(super) fn try_again(&mut self, user: &UserId) {
        self.left_out.retain(|(of, _), _| of != user);
        self.claimed.retain(|(of, _), _| of != user);
    }

    fn leave_out(&mut self, device: &Credential, pause: impl Fn(u32) -> Duration) {
        let name = (device.user_id.clone(), device.device_id.clone());
        self.claimed.remove(&name);
        if self.left_out.len() >= MAX_LEFT_OUT {
            let now = Instant::now();
            self.left_out.retain(|_, other| other.until.is_some_and(|until| until > now));
        }
        let left_out = self.left_out.entry(name).or_default();
        left_out.until = Some(Instant::now() + pause(left_out.times));
        left_out.times += 1;
    }

    pub(super) fn wait(&mut self, event: &Event) {
        if self.waiting.iter().any(|other| other.event_id == event.event_id) {
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.remove(0);
        }
        self.waiting.push(event.clone());
    }
}
