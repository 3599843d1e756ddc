//! What survives a crash: a model of the store, with writes that are durable only when a flush has ended.

mod devices;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axle_mls::HubGroup;
use axle_mls::limits::KEPT_EPOCHS;
use axle_protocol::event::Hash;
use axle_protocol::{Event, EventId, RoomId, RoomVersion, ServerName};
use axle_room::outbound::{Cursor, Item, Source};
use axle_room::{
    Brief, Change, Delivery, GroupChange, Head, Known, Lookup, Placed, Settled, Snapshot, StateItem, Status,
};

use crate::wire::{NodeId, Response};

pub use devices::{DeviceWrite, Devices};

/// A client's transaction: what the client calls its request.
pub type ClientTxn = String;

/// How far a client's request has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientState {
    /// It is on its way to the hub, as this LPDU.
    Pending(Hash),
    /// It is in the room, as this event.
    Done(EventId),
    /// The hub refused it, for this reason.
    Refused(String),
}

/// A stored event.
#[derive(Debug, Clone)]
pub struct Stored {
    /// As the room placed it.
    pub placed: Placed,
    /// Its place in the order of arrival.
    pub stream: i64,
}

/// One room.
#[derive(Debug, Clone)]
pub struct RoomLog {
    /// Its version.
    pub version: RoomVersion,
    /// By id.
    pub events: BTreeMap<EventId, Stored>,
    /// By position.
    pub timeline: BTreeMap<i64, EventId>,
    /// Current state.
    pub state: BTreeMap<(String, String), EventId>,
    /// The states of the group, by epoch.
    pub groups: BTreeMap<u64, GroupChange>,
}

/// From when to when a server gets a room's events.
#[derive(Debug, Clone)]
struct Interval {
    room_id: RoomId,
    destination: ServerName,
    after: i64,
    until: Option<i64>,
}

/// Something to be written.
#[derive(Debug, Clone)]
pub enum Write {
    /// A change of a room, and the client's request that it answers.
    Change(RoomId, RoomVersion, Change, Option<ClientTxn>),
    /// An LPDU joins the queue, for a client's request.
    QueueLpdu(i64, Event, ClientTxn),
    /// The hub refused an LPDU, for this reason.
    RefuseLpdu(i64, String),
    /// The last position that a destination has got.
    Acknowledge(ServerName, i64),
    /// An event was set aside.
    Park(ServerName, EventId),
    /// An invite of one of our users.
    Invited(RoomId, String),
    /// A transaction of another server was answered.
    Answered(ServerName, Arc<str>, Response),
    /// Something about devices.
    Device(DeviceWrite),
    /// Who is being asked for what came after an older copy.
    Asked(RoomId, BTreeSet<NodeId>),
    /// A room lacks nothing any more of what came after an older copy.
    Complete(RoomId),
    /// Nothing: whoever waits for it waits for everything before.
    Barrier,
}

/// The durable part of a disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// The rooms.
    pub rooms: BTreeMap<RoomId, RoomLog>,
    /// LPDUs without an echo, by queue id.
    pub lpdus: BTreeMap<i64, Event>,
    /// Events set aside.
    pub parked: BTreeSet<(ServerName, EventId)>,
    /// Invites of our users.
    pub invites: BTreeSet<(RoomId, String)>,
    /// Clients' requests.
    pub client_txns: BTreeMap<ClientTxn, ClientState>,
    /// The last answer to a transaction of each server.
    pub answers: BTreeMap<ServerName, (Arc<str>, Response)>,
    /// Devices and what is theirs.
    pub devices: Devices,
    /// Of a disk that is an older copy: the rooms that may lack what came after it, and the servers that are being asked.
    pub restored: BTreeMap<RoomId, BTreeSet<NodeId>>,
    /// A defect: what tells a queue to stop is not written.
    never_stops: bool,
    /// A defect: a group is not written together with the commit that changes it, but with the next change of the room.
    late_groups: Option<BTreeMap<RoomId, Vec<GroupChange>>>,
    acknowledged: BTreeMap<ServerName, i64>,
    intervals: Vec<Interval>,
    streams: BTreeMap<i64, (RoomId, i64)>,
    next_stream: i64,
}

impl Disk {
    /// An empty disk, perhaps with the defects that queues never stop, and that groups are written too late.
    pub fn new(never_stops: bool, late_groups: bool) -> Self {
        Self { never_stops, late_groups: late_groups.then(BTreeMap::new), ..Self::default() }
    }

    /// Makes a write durable. `Err` says what in it contradicts what is stored.
    pub fn apply(&mut self, write: &Write) -> Result<(), String> {
        match write {
            Write::Change(room_id, version, change, txn) => {
                self.apply_change(room_id, *version, change)?;
                let last = change.events.last().map(|placed| placed.event.event_id().clone());
                if let (Some(txn), Some(event_id)) = (txn, last) {
                    self.client_txns.insert(txn.clone(), ClientState::Done(event_id));
                }
            }
            Write::QueueLpdu(id, lpdu, txn) => {
                self.lpdus.insert(*id, lpdu.clone());
                let pending = lpdu.lpdu_hash().map(|hash| ClientState::Pending(*hash));
                self.client_txns.extend(pending.map(|pending| (txn.clone(), pending)));
            }
            Write::RefuseLpdu(id, reason) => {
                if let Some(hash) = self.lpdus.remove(id).and_then(|lpdu| lpdu.lpdu_hash().copied()) {
                    self.settle_clients(&hash, &ClientState::Refused(reason.clone()));
                }
            }
            Write::Device(write) => self.devices.apply(write),
            Write::Answered(origin, txn_id, response) => {
                self.answers.insert(origin.clone(), (Arc::clone(txn_id), response.clone()));
            }
            Write::Acknowledge(destination, stream) => {
                let last = self.acknowledged.entry(destination.clone()).or_insert(0);
                *last = (*last).max(*stream);
            }
            Write::Park(destination, event_id) => {
                self.parked.insert((destination.clone(), event_id.clone()));
            }
            Write::Invited(room_id, user) => {
                self.invites.insert((room_id.clone(), user.clone()));
            }
            Write::Asked(room_id, servers) => {
                self.restored.entry(room_id.clone()).and_modify(|asked| asked.clone_from(servers));
            }
            Write::Complete(room_id) => {
                self.restored.remove(room_id);
            }
            Write::Barrier => {}
        }
        Ok(())
    }

    /// A defect: makes durable what a torn write leaves, the first half of the events and nothing besides.
    pub fn apply_half(&mut self, write: &Write) {
        if let Write::Change(room_id, version, change, _) = write {
            let events = change.events.get(..change.events.len().div_ceil(2)).unwrap_or_default().to_vec();
            let half = Change { expected_head: change.expected_head, events, ..Change::default() };
            self.apply_change(room_id, *version, &half).ok();
        }
    }

    /// A room as it is stored.
    pub fn snapshot(&self, room_id: &RoomId) -> Option<Snapshot> {
        let log = self.rooms.get(room_id)?;
        let head = log.timeline.last_key_value();
        let head = head.map(|(position, event_id)| Head { position: *position, event_id: event_id.clone() });
        let state = log.state.iter().filter_map(|((event_type, state_key), event_id)| {
            let stored = log.events.get(event_id)?;
            let membership = stored.placed.membership;
            Some(StateItem {
                event_type: event_type.clone(),
                state_key: state_key.clone(),
                event_id: event_id.clone(),
                membership,
                event: membership.is_none().then(|| stored.placed.event.clone()),
            })
        });
        let mut waiting: Vec<_> =
            log.events.values().filter(|stored| stored.placed.status == Status::Waiting).collect();
        waiting.sort_by_key(|stored| stored.stream);
        let waiting = waiting.into_iter().map(|stored| stored.placed.event.clone()).collect();
        Some(Snapshot { room_id: room_id.clone(), version: log.version, head, state: state.collect(), waiting })
    }

    /// The newest state of a room's group.
    pub fn group(&self, room_id: &RoomId) -> Option<HubGroup> {
        let (_, newest) = self.rooms.get(room_id)?.groups.last_key_value()?;
        HubGroup::from_bytes(&newest.state).ok()
    }

    /// The state of the group after a commit.
    pub fn group_after(&self, room_id: &RoomId, commit: &EventId) -> Option<HubGroup> {
        let kept = self.rooms.get(room_id)?.groups.values().find(|group| group.commit == *commit)?;
        HubGroup::from_bytes(&kept.state).ok()
    }

    /// Answers a lookup.
    pub fn known(&self, room_id: &RoomId, lookup: &Lookup) -> Known {
        let mut known = Known { devices: self.devices.of(&lookup.devices), ..Known::default() };
        let Some(log) = self.rooms.get(room_id) else { return known };
        for id in &lookup.events {
            if let Some(stored) = log.events.get(id) {
                let Placed { event, status, position, .. } = &stored.placed;
                known.events.insert(id.clone(), Brief::of(event, *status, *position));
            }
        }
        let wanted: BTreeSet<&Hash> = lookup.lpdus.iter().collect();
        for event in log.events.values().map(|stored| &stored.placed.event) {
            if let Some(hash) = event.lpdu_hash().filter(|hash| wanted.contains(hash)) {
                known.lpdus.insert(*hash, event.event_id().clone());
            }
        }
        known
    }

    /// What a destination is still to get, in order.
    pub fn pending(&self, destination: &ServerName, after: Cursor, limit: usize) -> Vec<Item> {
        let from = after.event.max(self.acknowledged.get(destination).copied().unwrap_or(0));
        let events = self.streams.range(from + 1..).filter_map(|(stream, (room_id, position))| {
            let covers = |interval: &&Interval| {
                interval.room_id == *room_id
                    && interval.destination == *destination
                    && interval.after < *position
                    && interval.until.is_none_or(|until| *position <= until)
            };
            self.intervals.iter().find(covers)?;
            let log = self.rooms.get(room_id)?;
            let event = &log.events.get(log.timeline.get(position)?)?.placed.event;
            Some(item(Source::Event(*stream), event))
        });
        let lpdus = self.lpdus.range(after.lpdu + 1..).filter(|(_, lpdu)| lpdu.hub_server() == Some(destination));
        let lpdus = lpdus.map(|(id, lpdu)| item(Source::Lpdu(*id), lpdu));
        events.take(limit).chain(lpdus.take(limit)).take(limit).collect()
    }

    /// Marks everything that there is as delivered.
    pub fn forget_queues(&mut self, destinations: impl Iterator<Item = ServerName>) {
        self.acknowledged = destinations.map(|destination| (destination, self.next_stream)).collect();
    }

    /// At most so many events up to and including one, oldest first.
    pub fn backfill(&self, room_id: &RoomId, from: &EventId, limit: usize) -> Option<Vec<Event>> {
        let log = self.rooms.get(room_id)?;
        let position = log.events.get(from)?.placed.position?;
        let ids = log.timeline.range(..=position).rev().take(limit);
        let mut events: Vec<Event> = ids.filter_map(|(_, id)| log.event(id).cloned()).collect();
        events.reverse();
        Some(events)
    }

    /// At most so many events after one, oldest first.
    pub fn following(&self, room_id: &RoomId, after: &EventId, limit: usize) -> Option<Vec<Event>> {
        let log = self.rooms.get(room_id)?;
        let position = log.events.get(after)?.placed.position?;
        let ids = log.timeline.range(position + 1..).take(limit);
        Some(ids.filter_map(|(_, id)| log.event(id).cloned()).collect())
    }

    /// The state before an event, in order.
    pub fn state_before(&self, room_id: &RoomId, event_id: &EventId) -> Option<Vec<Event>> {
        let log = self.rooms.get(room_id)?;
        let position = log.events.get(event_id)?.placed.position?;
        let mut state: BTreeMap<(&str, &str), (i64, &Event)> = BTreeMap::new();
        for (at, id) in log.timeline.range(..position) {
            let Some(event) = log.event(id) else { continue };
            if let Some(key) = event.state_key() {
                state.insert((event.event_type(), key), (*at, event));
            }
        }
        let mut state: Vec<_> = state.into_values().collect();
        state.sort_by_key(|(at, _)| *at);
        Some(state.into_iter().map(|(_, event)| event.clone()).collect())
    }

    /// The auth events of these events, recursively, without the events themselves.
    pub fn auth_chain(&self, room_id: &RoomId, events: &[Event]) -> Vec<Event> {
        let Some(log) = self.rooms.get(room_id) else { return Vec::new() };
        let mut seen: BTreeSet<EventId> = events.iter().map(|event| event.event_id().clone()).collect();
        let mut open: Vec<Event> = events.to_vec();
        let mut chain = Vec::new();
        while let Some(event) = open.pop() {
            for id in event.auth_events() {
                if seen.insert(id.clone())
                    && let Some(event) = log.event(id)
                {
                    chain.push(event.clone());
                    open.push(event.clone());
                }
            }
        }
        chain
    }

    fn apply_change(&mut self, room_id: &RoomId, version: RoomVersion, change: &Change) -> Result<(), String> {
        let new = || RoomLog::new(version);
        let log = self.rooms.entry(room_id.clone()).or_insert_with(new);
        let head = log.timeline.last_key_value().map(|(position, _)| *position);
        if head != change.expected_head {
            return Err(format!("{room_id}: a write expects the head {:?}, it is {head:?}", change.expected_head));
        }
        for placed in &change.events {
            self.next_stream += 1;
            let log = self.rooms.entry(room_id.clone()).or_insert_with(new);
            log.place(placed, self.next_stream)?;
            if let Some(position) = placed.position {
                self.streams.insert(self.next_stream, (room_id.clone(), position));
            }
        }
        let groups = match &mut self.late_groups {
            Some(late) => late.insert(room_id.clone(), change.groups.clone()).unwrap_or_default(),
            None => change.groups.clone(),
        };
        self.rooms.entry(room_id.clone()).or_insert_with(new).put_groups(groups);
        change.deliveries.iter().for_each(|delivery| self.deliver(room_id, delivery));
        for Settled { lpdu_hash, event_id } in &change.settled {
            self.lpdus.retain(|_, lpdu| lpdu.lpdu_hash() != Some(lpdu_hash));
            self.settle_clients(lpdu_hash, &ClientState::Done(event_id.clone()));
        }
        Ok(())
    }

    fn settle_clients(&mut self, hash: &Hash, outcome: &ClientState) {
        let waiting = self.client_txns.values_mut().filter(|state| **state == ClientState::Pending(*hash));
        waiting.for_each(|state| *state = outcome.clone());
    }

    fn deliver(&mut self, room_id: &RoomId, delivery: &Delivery) {
        match delivery {
            Delivery::Start { destination, after } => self.intervals.push(Interval {
                room_id: room_id.clone(),
                destination: destination.clone(),
                after: *after,
                until: None,
            }),
            Delivery::Stop { .. } if self.never_stops => {}
            Delivery::Stop { destination, at } => {
                let open = self.intervals.iter_mut().filter(|interval| interval.until.is_none());
                open.filter(|interval| interval.room_id == *room_id && interval.destination == *destination)
                    .for_each(|interval| interval.until = Some(*at));
            }
        }
    }
}

impl RoomLog {
    fn new(version: RoomVersion) -> Self {
        let (events, timeline, state) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { version, events, timeline, state, groups: BTreeMap::new() }
    }

    /// An event of the room.
    pub fn event(&self, id: &EventId) -> Option<&Event> {
        self.events.get(id).map(|stored| &stored.placed.event)
    }

    /// Whether a user is joined, in the current state.
    pub fn is_joined(&self, user: &str) -> bool {
        let member = self.state.get(&("m.room.member".to_owned(), user.to_owned()));
        member.and_then(|id| self.event(id)).is_some_and(|event| event.membership() == Some("join"))
    }

    /// Who is joined, in the current state.
    pub fn joined(&self) -> impl Iterator<Item = &str> {
        let members = self.state.iter().filter(|((kind, _), _)| kind == "m.room.member");
        let joined = members.filter(|(_, id)| self.event(id).is_some_and(|event| event.membership() == Some("join")));
        joined.map(|((_, user), _)| user.as_str())
    }

    /// The events with a position, in order.
    pub fn ordered(&self) -> impl Iterator<Item = (i64, &Event)> {
        self.timeline.iter().filter_map(|(position, id)| Some((*position, self.event(id)?)))
    }

    /// As the store does it: an epoch has one state, a step back makes later ones void, old ones are let go.
    fn put_groups(&mut self, groups: Vec<GroupChange>) {
        for group in groups {
            let oldest = (group.epoch + 1).saturating_sub(KEPT_EPOCHS);
            let is_kept = |epoch: &u64| *epoch >= oldest || group.awaited.contains(epoch);
            self.groups.retain(|epoch, _| is_kept(epoch) && !(group.is_back && *epoch > group.epoch));
            self.groups.insert(group.epoch, group);
        }
    }

    fn place(&mut self, placed: &Placed, stream: i64) -> Result<(), String> {
        let event = &placed.event;
        let id = event.event_id().clone();
        let old = self.events.get(&id).and_then(|stored| stored.placed.position);
        if let (Some(old), Some(new)) = (old, placed.position) {
            return Err(format!("{id} is at {old} and is to be placed at {new}"));
        }
        if let Some(position) = placed.position
            && let Some(other) = self.timeline.insert(position, id.clone())
        {
            return Err(format!("{other} and {id} are both to be at {position}"));
        }
        if placed.sets_state
            && let Some(state_key) = event.state_key()
        {
            self.state.insert((event.event_type().into(), state_key.into()), id.clone());
        }
        if old.is_none() {
            self.events.insert(id, Stored { placed: placed.clone(), stream });
        }
        Ok(())
    }
}

/// An event as an item of a queue.
pub fn item(source: Source, event: &Event) -> Item {
    Item { source, event_id: Some(event.event_id().clone()), json: Arc::from(event.json()) }
}
