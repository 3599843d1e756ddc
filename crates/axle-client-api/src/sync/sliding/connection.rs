//! What the clients of connections know.
//!
//! It is kept in memory. A client whose connection is not there, because the server was started again or because others
//! needed the room, is told so and begins anew: it loses nothing but time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axle_protocol::{EventId, MatrixError, RoomId, UserId};
use lru::LruCache;
use tokio::sync::Mutex as AsyncMutex;

use super::config::RequiredState;
use super::rooms::KnownRooms;
use crate::fleeting::Clock;
use crate::session::Session;
use crate::token::Moment;

/// Connections of a device. Clients have two or three.
const MAX_PER_DEVICE: usize = 8;
/// Rooms that are remembered in all connections together, some hundred bytes each. The device that was away for the
/// longest is forgotten first.
const MAX_ROOMS: usize = 1_000_000;
/// What a connection counts for beside its rooms.
const WEIGHT: usize = 16;
/// Answers of a connection that the client may go on from: more than one, in case an answer does not arrive.
const MAX_OPEN: usize = 4;
/// Members of a room that are remembered as told.
const MAX_MEMBERS: usize = 100;

/// Every connection of every device.
pub(crate) struct Connections {
    /// Numbers answers. An answer of an earlier run of the server has a number before all of this one.
    clock: Clock,
    devices: Mutex<Devices>,
}

/// A connection, for one request at a time.
pub(crate) type Shared = Arc<AsyncMutex<Connection>>;

struct Devices {
    devices: LruCache<(UserId, String), VecDeque<Kept>>,
    rooms: usize,
}

struct Kept {
    name: Option<String>,
    connection: Shared,
    weight: usize,
}

impl Default for Connections {
    fn default() -> Self {
        let devices = Devices { devices: LruCache::unbounded(), rooms: 0 };
        Self { clock: Clock::default(), devices: Mutex::new(devices) }
    }
}

impl Connections {
    /// The connection of a device with this name.
    pub(crate) fn get(&self, session: &Session, name: Option<&str>) -> Option<Shared> {
        let mut devices = self.lock();
        let kept = devices.devices.get(&session.device())?.iter().find(|kept| kept.name.as_deref() == name);
        kept.map(|kept| Arc::clone(&kept.connection))
    }

    /// Keeps a connection that begins, in place of another one with this name.
    pub(crate) fn begin(&self, session: &Session, name: Option<&str>, connection: &Shared, weight: usize) {
        self.lock().change(session, |kept| {
            kept.retain(|kept| kept.name.as_deref() != name);
            kept.push_front(Kept { name: name.map(str::to_owned), connection: Arc::clone(connection), weight });
            kept.truncate(MAX_PER_DEVICE);
        });
    }

    /// Notes how much a connection has become, if it is still kept.
    pub(crate) fn weigh(&self, session: &Session, connection: &Shared, weight: usize) {
        self.lock().change(session, |kept| {
            let Some(index) = kept.iter().position(|kept| Arc::ptr_eq(&kept.connection, connection)) else { return };
            // The one that was used last is the first.
            if let Some(known) = kept.remove(index) {
                kept.push_front(Kept { weight, ..known });
            }
        });
    }

    /// The number of another answer.
    pub(crate) fn next(&self) -> i64 {
        self.clock.tick()
    }

    fn lock(&self) -> MutexGuard<'_, Devices> {
        // Nothing panics while it is held: what is taken off was added before.
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Devices {
    /// Changes the connections of a device, and lets go of those of others if there is too much.
    fn change(&mut self, session: &Session, change: impl FnOnce(&mut VecDeque<Kept>)) {
        let weight = |kept: &VecDeque<Kept>| kept.iter().map(|kept| kept.weight).sum::<usize>();
        let mut kept = self.devices.pop(&session.device()).unwrap_or_default();
        self.rooms -= weight(&kept);
        change(&mut kept);
        self.rooms += weight(&kept);
        if !kept.is_empty() {
            self.devices.put(session.device(), kept);
        }
        while self.rooms > MAX_ROOMS && self.devices.len() > 1 {
            let Some((_, gone)) = self.devices.pop_lru() else { break };
            self.rooms -= weight(&gone);
        }
    }
}

/// The answer to who goes on from where this server knows nothing of.
pub(crate) fn unknown_pos() -> MatrixError {
    MatrixError::new(400, "M_UNKNOWN_POS", "The server does not know this position any more. Begin a new connection.")
}

/// What the client of a connection knows: what it was told up to the answer that it went on from last.
#[derive(Default)]
pub(crate) struct Connection {
    /// That answer; `None`: it has not gone on from any.
    confirmed: Option<(i64, Moment)>,
    pub(super) told: Told,
    /// Answers of which the client may have one, oldest first.
    open: VecDeque<Open>,
    /// The rooms of the user, as of the last request.
    pub(super) rooms: KnownRooms,
}

struct Open {
    number: i64,
    moment: Moment,
    told: Told,
}

/// What was told.
#[derive(Default)]
pub(crate) struct Told {
    pub(super) rooms: HashMap<RoomId, ToldRoom>,
    /// Whether account data were told, those from the beginning.
    pub(super) account_data: bool,
}

impl Told {
    /// What is about to be told of a room, on top of what a connection told.
    pub(super) fn edit(&mut self, before: &Connection, room_id: &RoomId) -> &mut ToldRoom {
        let known = || before.told.rooms.get(room_id).cloned().unwrap_or_default();
        self.rooms.entry(room_id.clone()).or_insert_with(known)
    }
}

impl Connection {
    /// Where an answer ended, if the client may go on from there. Then it has what that answer told.
    pub(crate) fn go_on(&mut self, number: i64) -> Option<Moment> {
        if let Some(index) = self.open.iter().position(|open| open.number == number) {
            let open = self.open.drain(..).nth(index)?;
            self.told.rooms.extend(open.told.rooms);
            self.told.account_data |= open.told.account_data;
            self.confirmed = Some((number, open.moment));
        }
        self.confirmed.filter(|(confirmed, _)| *confirmed == number).map(|(_, moment)| moment)
    }

    /// Remembers an answer to a client that went on from another one, if it is still there.
    pub(crate) fn answer(&mut self, from: Option<i64>, number: i64, moment: Moment, told: Told) -> Option<()> {
        if self.confirmed.map(|(confirmed, _)| confirmed) != from {
            return None;
        }
        if self.open.len() == MAX_OPEN {
            self.open.pop_front();
        }
        self.open.push_back(Open { number, moment, told });
        Some(())
    }

    /// How much is remembered, in rooms.
    pub(crate) fn weight(&self) -> usize {
        let open: usize = self.open.iter().map(|open| open.told.rooms.len()).sum();
        WEIGHT + self.told.rooms.len() + open + self.rooms.len()
    }
}

/// What was told of a room.
#[derive(Debug, Clone, Default)]
pub(super) struct ToldRoom {
    /// State and events.
    pub(super) events: Seen,
    pub(super) account_data: Seen,
    pub(super) receipts: Seen,
    /// In the order of what is not stored.
    pub(super) typing: Seen,
    /// Which state.
    pub(super) required: Arc<RequiredState>,
    /// So many of the last events the client has.
    pub(super) timeline_limit: usize,
    pub(super) is_dm: bool,
    members: HashSet<u64>,
}

impl ToldRoom {
    /// Whether the client has to be told a member event that its timeline needs. From now on it was.
    pub(super) fn is_new_member(&mut self, event: &EventId) -> bool {
        // Another event of the same hash, one in 2^64, would be fetched by the client.
        let mut hasher = DefaultHasher::new();
        event.as_str().hash(&mut hasher);
        if self.members.len() == MAX_MEMBERS {
            self.members.clear();
        }
        self.members.insert(hasher.finish())
    }
}

/// How much of something a client has been told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing.
    #[default]
    Nothing,
    /// What happened until then.
    Until(i64),
    /// All, up to where the answer ended.
    All,
}

impl Seen {
    /// Until when the client knows it all, if the answer ended there; `None`: it knows nothing.
    pub(super) fn since(self, end: Option<i64>) -> Option<i64> {
        match self {
            Self::Nothing => None,
            Self::Until(until) => Some(until),
            Self::All => end,
        }
    }

    /// Something happened after the end of the last answer that the client is not told.
    pub(super) fn missed(self, end: Option<i64>) -> Self {
        self.since(end).map_or(Self::Nothing, Self::Until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(stream: i64) -> Moment {
        Moment { stream, fleeting: 0 }
    }

    fn told(room: &str, events: Seen) -> Told {
        let rooms = HashMap::from([(RoomId::parse(room).unwrap(), ToldRoom { events, ..ToldRoom::default() })]);
        Told { rooms, account_data: false }
    }

    #[test]
    fn what_an_answer_told_counts_when_the_client_goes_on_from_it() {
        let mut connection = Connection::default();
        assert_eq!(connection.go_on(1), None);
        connection.answer(None, 1, moment(10), told("!a:x", Seen::All)).unwrap();
        connection.answer(None, 2, moment(11), told("!b:x", Seen::All)).unwrap();
        assert!(connection.told.rooms.is_empty());
        assert_eq!(connection.go_on(2), Some(moment(11)));
        assert_eq!(connection.go_on(2), Some(moment(11)), "a request may be repeated");
        assert_eq!(connection.told.rooms.len(), 1);
        assert_eq!(connection.go_on(1), None, "the client has another one");
        assert_eq!(connection.answer(Some(1), 3, moment(12), Told::default()), None);
        for number in 3..=7 {
            connection.answer(Some(2), number, moment(12), Told::default()).unwrap();
        }
        assert_eq!(connection.go_on(3), None, "so many are not remembered");
        assert_eq!(connection.go_on(4), Some(moment(12)));
    }

    #[test]
    fn members_are_told_again_when_too_many_are_remembered() {
        let mut room = ToldRoom::default();
        let id = |n: usize| EventId::parse(format!("${n}")).unwrap();
        assert!(room.is_new_member(&id(0)));
        assert!(!room.is_new_member(&id(0)));
        assert!((1..=MAX_MEMBERS).all(|n| room.is_new_member(&id(n))));
        assert!(room.is_new_member(&id(0)));
    }
}
