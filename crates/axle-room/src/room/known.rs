//! What a room must know of events that it does not keep in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use axle_protocol::event::Hash;
use axle_protocol::{Event, EventId, EventKind, UserId};

use super::change::Status;
use super::group::Devices;

/// How many of its newest events a room remembers by itself. At most so many may be placed without being durable
/// while [`super::Room::lookup`] is answered from the store.
pub const RECENT_EVENTS: usize = 512;

/// What the store should be asked before events are handed to a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookup {
    /// Events of this room, whatever their status.
    pub events: Vec<EventId>,
    /// LPDU hashes of this room.
    pub lpdus: Vec<Hash>,
    /// Users whose published devices matter.
    pub devices: BTreeSet<UserId>,
}

impl Lookup {
    /// Whether nothing needs to be asked.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.lpdus.is_empty() && self.devices.is_empty()
    }
}

/// The answer to a [`Lookup`]: what is in the store of this room, and of no other.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Events that are stored.
    pub events: HashMap<EventId, Brief>,
    /// LPDUs that are in the room, and as which event.
    pub lpdus: HashMap<Hash, EventId>,
    /// Published devices.
    pub devices: Devices,
    /// For [`Room::replay`](super::Room::replay): states of the group in the epochs that
    /// [`Room::replay_epochs`](super::Room::replay_epochs) names, as far as they are kept.
    pub groups: BTreeMap<u64, Vec<u8>>,
}

/// What matters of an event that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// `type`.
    pub event_type: Box<str>,
    /// `state_key`.
    pub state_key: Option<Box<str>>,
    /// `sender`.
    pub sender: UserId,
    /// What became of it.
    pub status: Status,
    /// Its place in the room's order, if it has one.
    pub position: Option<i64>,
    /// Of an LPDU, which became state as it is: its `origin_server_ts`.
    pub lpdu_time: Option<i64>,
}

impl Brief {
    /// Of an event.
    pub fn of(event: &Event, status: Status, position: Option<i64>) -> Self {
        Self {
            event_type: event.event_type().into(),
            state_key: event.state_key().map(Into::into),
            sender: event.sender().clone(),
            status,
            position,
            lpdu_time: (event.kind() == EventKind::Lpdu).then(|| event.origin_server_ts()),
        }
    }
}

/// The newest events of a room.
#[derive(Debug, Default)]
pub(super) struct Recent {
    events: HashMap<EventId, Brief>,
    lpdus: HashMap<Hash, EventId>,
    order: VecDeque<(EventId, Option<Hash>)>,
}

impl Recent {
    pub(super) fn add(&mut self, event: &Event, status: Status, position: Option<i64>) {
        if self.order.len() >= RECENT_EVENTS
            && let Some((oldest, hash)) = self.order.pop_front()
        {
            self.events.remove(&oldest);
            hash.map(|hash| self.lpdus.remove(&hash));
        }
        let id = event.event_id();
        if self.events.insert(id.clone(), Brief::of(event, status, position)).is_some() {
            return;
        }
        // The first event that an LPDU became stays the one it is known by.
        let hash = event.lpdu_hash().filter(|hash| !self.lpdus.contains_key(*hash)).copied();
        hash.map(|hash| self.lpdus.insert(hash, id.clone()));
        self.order.push_back((id.clone(), hash));
    }

    pub(super) fn event(&self, id: &EventId) -> Option<&Brief> {
        self.events.get(id)
    }

    pub(super) fn lpdu(&self, hash: &Hash) -> Option<&EventId> {
        self.lpdus.get(hash)
    }
}
