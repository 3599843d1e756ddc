//! One linearized room, as hub or as participant.

mod acl;
pub mod behind;
pub mod change;
pub mod gap;
pub mod group;
pub mod hub;
mod in_flight;
pub mod invite;
pub mod join;
pub mod judge;
pub mod known;
pub mod participant;
mod place;
pub mod policy;
pub mod replay;
pub mod state;
pub mod verified;

use std::collections::BTreeMap;
use std::sync::Arc;

use axle_mls::HubGroup;
use axle_protocol::auth::{AuthState as _, Membership};
use axle_protocol::event::Hash;
use axle_protocol::{Event, EventId, RoomId, RoomVersion, ServerName, SigningKey};

use change::Status;
use gap::Waiting;
use in_flight::InFlight;
use known::{Known, Lookup, Recent};
use policy::{AccessPolicy, AuthRules};
use state::RoomState;
use verified::Verified;

/// Who this server is. Handed to the commands that sign.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub name: ServerName,
    /// What it signs with.
    pub key: SigningKey,
}

/// The end of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Position of the last event.
    pub position: i64,
    /// Its id.
    pub event_id: EventId,
}

/// One entry of a stored room's current state.
#[derive(Debug, Clone)]
pub struct StateItem {
    /// `type`.
    pub event_type: String,
    /// `state_key`.
    pub state_key: String,
    /// The event.
    pub event_id: EventId,
    /// Of an `m.room.member` event.
    pub membership: Option<Membership>,
    /// The event itself, except for `m.room.member`.
    pub event: Option<Event>,
}

/// A room as a store has kept it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The room.
    pub room_id: RoomId,
    /// Its version.
    pub version: RoomVersion,
    /// The end of its log.
    pub head: Option<Head>,
    /// Its current state.
    pub state: Vec<StateItem>,
    /// Events that wait for a gap to be filled, in order of arrival.
    pub waiting: Vec<Event>,
}

/// How an LPDU came to its hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `/send`, or `/invite` of a user whose server is in the room.
    Transaction,
    /// `/send_join`, `/send_leave` or `/send_knock`, by the membership it is about.
    Handshake(Membership),
}

/// Room between the positions of two stays of ours in a room, for what happened between them to be filled in.
const STAY_SPACING: i64 = 1 << 32;

/// Whether the event at this position is the first that this server had of the room, or of a further stay in it: the
/// create event at the hub, the join that brought us in elsewhere. The events that follow it without a jump in their
/// positions were judged when they came; all others are history that was fetched later.
pub fn begins_stay(position: i64) -> bool {
    position >= 0 && position.rem_euclid(STAY_SPACING) == 0
}

/// The number of the stay that a position belongs to. What was fetched from before a stay counts to the one before.
fn stay(position: i64) -> i64 {
    position.div_euclid(STAY_SPACING)
}

/// Whether a position is for history from before the next stay. Events that come take the places above the join by which a
/// stay begins, upwards; history is put below it, downwards.
fn is_below_stay(position: i64) -> bool {
    position.rem_euclid(STAY_SPACING) >= STAY_SPACING / 2
}

/// Where an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    /// In the order that began when we last came in; or rejected since.
    Here,
    /// From before: history, an earlier stay, the state that we found.
    Past,
    /// Not here, or waiting for its place.
    Unknown,
}

/// One room.
///
/// Commands by role: a hub's are [`Room::send_local`], [`Room::accept_lpdu`], [`Room::make_membership`],
/// [`Room::prepare_invite`], [`Room::finish_invite`], [`Room::replay`]; a participant's are [`Room::join`], [`Room::make_lpdu`],
/// [`Room::receive`], [`Room::end_stay`], [`Room::fill_gap`], [`Room::give_up_gap`], [`Room::fill_history`],
/// [`Room::look_behind`]. Before a command that takes [`Known`], ask [`Room::lookup`] what to look up, and the store for the answer.
pub struct Room {
    us: ServerName,
    id: RoomId,
    version: RoomVersion,
    head: Option<Head>,
    state: RoomState,
    recent: Recent,
    waiting: Waiting,
    lpdus: InFlight,
    /// LPDUs that were taken as they are before the hub answered ([`Room::leave_early`]), and their `origin_server_ts`.
    early_leaves: BTreeMap<EventId, i64>,
    /// At the hub of an encrypted room, from its first commit on.
    group: Option<Box<HubGroup>>,
    /// Of an encrypted room of another hub: the last member event, and the hash by which a commit names it that is
    /// appended with it.
    last_member: Option<(EventId, Hash)>,
    policy: Arc<dyn AccessPolicy>,
}

impl Room {
    /// A room without events: one that we are about to create, or to join.
    pub fn new(us: ServerName, id: RoomId, version: RoomVersion) -> Self {
        Self {
            us,
            id,
            version,
            head: None,
            state: RoomState::default(),
            recent: Recent::default(),
            waiting: Waiting::default(),
            lpdus: InFlight::default(),
            early_leaves: BTreeMap::new(),
            group: None,
            last_member: None,
            policy: Arc::new(AuthRules),
        }
    }

    /// A room as a store has kept it.
    pub fn restore(us: ServerName, snapshot: Snapshot) -> Self {
        let mut room = Self::new(us, snapshot.room_id, snapshot.version);
        room.head = snapshot.head;
        room.state = RoomState::restore(snapshot.state);
        snapshot.waiting.into_iter().for_each(|event| room.waiting.push(Verified::stored(event)));
        room
    }

    /// Lets another policy than the auth rules decide.
    #[must_use]
    pub fn with_policy(mut self, policy: Arc<dyn AccessPolicy>) -> Self {
        self.policy = policy;
        self
    }

    /// The room's id.
    pub fn id(&self) -> &RoomId {
        &self.id
    }

    /// The room's version.
    pub fn version(&self) -> RoomVersion {
        self.version
    }

    /// The end of the log; `None` while it is empty.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The hub: the server of the create event's sender.
    pub fn hub(&self) -> Option<ServerName> {
        self.state.create().map(|create| create.hub())
    }

    /// Whether this server is the hub.
    pub fn is_hub(&self) -> bool {
        self.state.create().is_some_and(|create| create.sender.server_str() == self.us.as_str())
    }

    /// Whether a user of this server is joined.
    pub fn is_participating(&self) -> bool {
        self.state.has_server(self.us.as_str())
    }

    /// The current state.
    pub fn state(&self) -> &RoomState {
        &self.state
    }

    /// What to look up in the store before these events are handed to a command. Events that wait for a gap to be
    /// filled are looked up with them.
    pub fn lookup<'a>(&'a self, events: impl IntoIterator<Item = &'a Event>) -> Lookup {
        let mut collect = place::Collect::new(self);
        collect.add_all(events.into_iter().chain(self.waiting.iter()));
        collect.finish()
    }

    /// Frees the memory of the newest events. Call it only when every change is durable, and the room is idle.
    pub fn forget_recent(&mut self) {
        self.recent = Recent::default();
    }

    /// What is known of an event: from memory, or else from the store.
    fn brief(&self, id: &EventId, known: &Known) -> Option<known::Brief> {
        self.recent.event(id).or_else(|| known.events.get(id)).cloned()
    }

    /// Where an event is, as seen from this stay of ours in the room.
    fn whereabouts(&self, id: &EventId, known: &Known) -> Whereabouts {
        let Some(head) = &self.head else { return Whereabouts::Unknown };
        if head.event_id == *id {
            return Whereabouts::Here;
        }
        match self.brief(id, known) {
            None => Whereabouts::Unknown,
            Some(brief) => match (brief.status, brief.position) {
                (Status::Waiting, _) => Whereabouts::Unknown,
                (Status::Rejected, _) => Whereabouts::Here,
                (Status::Accepted, Some(position)) if stay(position) == stay(head.position) => Whereabouts::Here,
                _ => Whereabouts::Past,
            },
        }
    }

    /// The position of an event that was placed since we last came in.
    fn position_here(&self, id: &EventId, known: &Known) -> Option<i64> {
        let head = self.head.as_ref().filter(|_| self.whereabouts(id, known) == Whereabouts::Here)?;
        if head.event_id == *id { Some(head.position) } else { self.brief(id, known)?.position }
    }

    /// The event that an LPDU has become.
    fn known_lpdu(&self, hash: &Hash, known: &Known) -> Option<EventId> {
        self.recent.lpdu(hash).or_else(|| known.lpdus.get(hash)).cloned()
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("id", &self.id).field("head", &self.head).finish_non_exhaustive()
    }
}
