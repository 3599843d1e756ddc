//! The rooms of a user, in memory: lists are made without a look at rooms in which nothing happened.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};
use axle_store::{DescribedUserRoom, OutOfRoom, UserRoom};
use lru::LruCache;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::error::ApiResult;
use crate::state::Api;
use crate::token::BEFORE_EVERYTHING;

/// The account data that has a room's tags.
const TAGS: &str = "m.tag";
/// Rooms that are kept for connections that begin, some hundred bytes each. The user who began none for the longest is
/// forgotten first.
const MAX_KEPT: usize = 500_000;

/// The rooms of users as connections knew them that began: another one has to read only what happened since.
pub(crate) struct RoomsOfUsers(Mutex<Kept>);

struct Kept {
    users: LruCache<UserId, KnownRooms>,
    rooms: usize,
    /// How often something was forgotten: what was read before that is not kept.
    forgotten: u64,
}

impl Default for RoomsOfUsers {
    fn default() -> Self {
        Self(Mutex::new(Kept { users: LruCache::unbounded(), rooms: 0, forgotten: 0 }))
    }
}

impl RoomsOfUsers {
    /// What is known of a user's rooms that is not newer than a stream position.
    fn get(&self, user_id: &UserId, until: i64) -> Option<KnownRooms> {
        self.lock().users.get(user_id).filter(|known| known.as_of.is_some_and(|as_of| as_of <= until)).cloned()
    }

    /// What is known of a user's rooms is not so any more, without anything that happened in them.
    pub(crate) fn forget(&self, user_id: &UserId) {
        let mut kept = self.lock();
        kept.forgotten += 1;
        if let Some(gone) = kept.users.pop(user_id) {
            kept.rooms -= gone.len();
        }
    }

    /// How often something was forgotten.
    fn forgotten(&self) -> u64 {
        self.lock().forgotten
    }

    /// Keeps what was read since [`Self::forgotten`] was asked.
    fn put(&self, user_id: &UserId, known: &KnownRooms, forgotten: u64) {
        let mut kept = self.lock();
        if kept.forgotten != forgotten {
            return;
        }
        let (user_id, known) = (user_id.clone(), known.clone());
        kept.rooms += known.len();
        if let Some(before) = kept.users.put(user_id, known) {
            kept.rooms -= before.len();
        }
        while kept.rooms > MAX_KEPT
            && let Some((_, gone)) = kept.users.pop_lru()
        {
            kept.rooms -= gone.len();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it is held: what is taken off was added before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rooms of a user.
#[derive(Clone, Default)]
pub(super) struct KnownRooms {
    /// As of this stream position; `None`: not read yet.
    as_of: Option<i64>,
    rooms: HashMap<RoomId, Arc<DescribedUserRoom>>,
    /// Tags, as of this stream position.
    tags_as_of: Option<i64>,
    tags: HashMap<RoomId, BTreeSet<String>>,
}

impl KnownRooms {
    /// Reads what happened since the last time, which is everything at first.
    pub(super) async fn refresh(&mut self, api: &Api, user_id: &UserId, until: i64) -> ApiResult<()> {
        let begins = self.as_of.is_none();
        let forgotten = api.rooms_of_users.forgotten();
        if begins && let Some(known) = api.rooms_of_users.get(user_id, until) {
            *self = known;
        }
        let after = self.as_of.unwrap_or(BEFORE_EVERYTHING);
        if self.as_of != Some(until) {
            for room in api.store.described_user_rooms(user_id, after).await? {
                self.rooms.insert(room.room.room_id.clone(), Arc::new(room));
            }
            self.as_of = Some(until);
            if begins {
                api.rooms_of_users.put(user_id, self, forgotten);
            }
        }
        Ok(())
    }

    /// The same for tags.
    pub(super) async fn refresh_tags(&mut self, api: &Api, user_id: &UserId, until: i64) -> ApiResult<()> {
        let after = self.tags_as_of.unwrap_or(BEFORE_EVERYTHING);
        for entry in api.store.account_data_changes(user_id, after, until).await? {
            if let (Some(room_id), TAGS) = (entry.room_id, &*entry.event_type) {
                self.tags.insert(room_id, tags(&entry.content));
            }
        }
        self.tags_as_of = Some(until);
        Ok(())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// The rooms in their order, the last in which something happened first. `elsewhere`: invites and knocks in rooms
    /// that this server is not in, and what became of them.
    pub(super) fn in_order<'a>(&'a self, elsewhere: &'a [OutOfRoom]) -> Vec<Entry<'a>> {
        let newer =
            |entry: &&OutOfRoom| self.rooms.get(&entry.room_id).is_none_or(|room| room.room.stream < entry.stream);
        let elsewhere: HashMap<&RoomId, &OutOfRoom> =
            elsewhere.iter().filter(newer).map(|entry| (&entry.room_id, entry)).collect();
        let here = self.rooms.values().map(|room| &**room).filter(|room| !elsewhere.contains_key(&room.room.room_id));
        let mut entries: Vec<Entry<'a>> = here.map(Entry::here).collect();
        entries.extend(elsewhere.values().map(|entry| Entry::elsewhere(entry)));
        entries.sort_unstable_by(|a, b| (b.activity, b.room_id).cmp(&(a.activity, a.room_id)));
        entries
    }

    /// Whether a room has any of these tags.
    pub(super) fn has_tag(&self, room_id: &RoomId, any_of: &[String]) -> bool {
        self.tags.get(room_id).is_some_and(|tags| any_of.iter().any(|tag| tags.contains(tag)))
    }
}

/// A room in a list.
pub(super) struct Entry<'a> {
    pub(super) room_id: &'a RoomId,
    pub(super) membership: Membership,
    /// Stream position of what gave it.
    pub(super) member_stream: i64,
    /// Stream position of the last that happened there, as far as it concerns the user.
    pub(super) activity: i64,
    pub(super) room_type: Option<String>,
    pub(super) encrypted: bool,
    /// Whether the user was thrown out, and has not forgotten the room.
    pub(super) thrown_out: bool,
    pub(super) place: Place<'a>,
}

/// Where a room is.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// On this server.
    Here(&'a UserRoom),
    /// On others only.
    Elsewhere(&'a OutOfRoom),
}

impl<'a> Entry<'a> {
    fn here(described: &'a DescribedUserRoom) -> Self {
        let room = &described.room;
        let is_over = matches!(room.membership, Membership::Leave | Membership::Ban);
        Self {
            room_id: &room.room_id,
            membership: room.membership,
            member_stream: room.stream,
            // What happens in a room that the user is not in is no business of theirs.
            activity: if room.membership == Membership::Join { room.room_stream } else { room.stream },
            room_type: described.room_type.clone(),
            encrypted: described.encrypted,
            thrown_out: is_over && !described.by_user && !described.forgotten,
            place: Place::Here(room),
        }
    }

    fn elsewhere(entry: &'a OutOfRoom) -> Self {
        let told = Stripped::of(entry);
        Self {
            room_id: &entry.room_id,
            membership: entry.membership,
            member_stream: entry.stream,
            activity: entry.stream,
            room_type: told.room_type,
            encrypted: told.encrypted,
            thrown_out: false,
            place: Place::Elsewhere(entry),
        }
    }

    /// Whether the user is in the room, or at its door.
    pub(super) fn has_to_do(&self) -> bool {
        matches!(self.membership, Membership::Join | Membership::Invite | Membership::Knock)
    }
}

/// What another server told of its room, as far as filters go by it.
#[derive(Default)]
struct Stripped {
    room_type: Option<String>,
    encrypted: bool,
}

impl Stripped {
    fn of(entry: &OutOfRoom) -> Self {
        #[derive(Deserialize)]
        struct Event {
            #[serde(rename = "type")]
            event_type: String,
            content: Content,
        }
        #[derive(Deserialize)]
        struct Content {
            #[serde(rename = "type")]
            room_type: Option<String>,
        }
        let events: Vec<&RawValue> = serde_json::from_str(&entry.stripped_state).unwrap_or_default();
        let mut told = Self::default();
        for event in events {
            let Ok(event) = serde_json::from_str::<Event>(event.get()) else { continue };
            match event.event_type.as_str() {
                "m.room.create" => told.room_type = event.content.room_type,
                "m.room.encryption" => told.encrypted = true,
                _ => {}
            }
        }
        told
    }
}

fn tags(content: &str) -> BTreeSet<String> {
    #[derive(Deserialize)]
    struct Content {
        tags: HashMap<String, IgnoredAny>,
    }
    serde_json::from_str::<Content>(content).map(|content| content.tags.into_keys().collect()).unwrap_or_default()
}
