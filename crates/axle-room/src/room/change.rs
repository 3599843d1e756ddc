//! What a command does to a room, to be stored as one atomic change.

use axle_protocol::auth::{AuthError, Membership};
use axle_protocol::event::{BuildError, Hash};
use axle_protocol::{Event, EventId, ServerName};

use super::group::GroupChange;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Part of the room; it has a position.
    Accepted,
    /// Refused by this server's own check; no position, no effect on state. Kept so that events which name it as
    /// parent are understood.
    Rejected,
    /// Known, without a place in the room's order: state that a join brought, and what authorises it.
    Outlier,
    /// Arrived before its parents. It gets a place when the gap is filled, or given up.
    Waiting,
}

/// One event of a change.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The event, as it is to be stored: the redacted copy if its content had been changed.
    pub event: Event,
    /// Place in the room's order; accepted events have one.
    pub position: Option<i64>,
    /// What became of it.
    pub status: Status,
    /// Whether it becomes current state.
    pub sets_state: bool,
    /// The event it redacts, if its sender may.
    pub redacts: Option<EventId>,
    /// Of an `m.room.member` event.
    pub membership: Option<Membership>,
}

/// A change of who gets a room's events from us, its hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The server gets the events after the one at this position.
    Start {
        /// Who.
        destination: ServerName,
        /// The last position that it does not get.
        after: i64,
    },
    /// The server gets the event at this position and none after.
    Stop {
        /// Who.
        destination: ServerName,
        /// The last position that it gets.
        at: i64,
    },
}

impl Delivery {
    /// Whom it is about.
    pub fn destination(&self) -> &ServerName {
        match self {
            Self::Start { destination, .. } | Self::Stop { destination, .. } => destination,
        }
    }
}

/// An LPDU of one of our users that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its hash.
    pub lpdu_hash: Hash,
    /// What the hub made of it.
    pub event_id: EventId,
}

/// One atomic change of a room. Store all of it, or none; only then let anyone know.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Position of the head before the change.
    pub expected_head: Option<i64>,
    /// In order.
    pub events: Vec<Placed>,
    /// In order. Only a hub has any.
    pub deliveries: Vec<Delivery>,
    /// LPDUs of our own users that are in the room now, or were rejected by us when they came back.
    pub settled: Vec<Settled>,
    /// What the hub did that it should not have.
    pub faults: Vec<Fault>,
    /// States of the group, by epoch, in order. Only a hub has any.
    pub groups: Vec<GroupChange>,
}

impl Change {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.deliveries.is_empty() && self.settled.is_empty() && self.groups.is_empty()
    }

    /// Adds a change of the same room that was made right after this one, so that both are stored at once.
    pub fn merge(&mut self, later: Change) {
        if self.is_empty() {
            self.expected_head = later.expected_head;
        }
        self.events.extend(later.events);
        self.deliveries.extend(later.deliveries);
        self.settled.extend(later.settled);
        self.faults.extend(later.faults);
        later.groups.into_iter().for_each(|group| self.put_group(group));
    }

    /// Has a state of the group stored, instead of an earlier one of the same epoch.
    pub(super) fn put_group(&mut self, mut group: GroupChange) {
        if group.is_back {
            self.groups.retain(|earlier| earlier.epoch < group.epoch);
        }
        if let Some(earlier) = self.groups.iter().position(|earlier| earlier.epoch == group.epoch) {
            group.is_back |= self.groups.remove(earlier).is_back;
        }
        self.groups.push(group);
    }

    /// The last event that got a position.
    pub fn last_placed(&self) -> Option<&Event> {
        self.events.iter().rev().find(|placed| placed.position.is_some()).map(|placed| &placed.event)
    }
}

/// How the hub fared with an event that it was asked to append.
#[derive(Debug, Clone)]
pub enum Accepted {
    /// It is in the room once the change is durable, as this event.
    Appended {
        /// The finished event.
        event: Event,
        /// What to store.
        change: Change,
    },
    /// It has been in the room, as this event: a repeated request.
    Duplicate(EventId),
}

/// Something a hub should not have done. What the draft calls a reason to warn users of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The event by which it shows.
    pub event_id: EventId,
    /// What it is.
    pub kind: FaultKind,
}

/// Kinds of [`Fault`]: everything that the draft lets a participant notice.
///
/// What it does not let one notice: a hub that keeps a second, consistent room for one participant; history that is
/// withheld from before a join; LPDUs that are held back while nothing later of the same server is let through; state
/// without a part in authorisation (a topic) that is not the current one at a join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The auth rules forbid the event. It was rejected.
    #[error("the event is forbidden: {0}")]
    Forbidden(String),
    /// `auth_events` are not what rule 4 demands. It was rejected.
    #[error("the event's auth_events are wrong: {0}")]
    AuthEvents(String),
    /// A needed signature is missing or wrong. It was dropped.
    #[error("the event is not signed as it should be: {0}")]
    BadSignature(String),
    /// The content is not what its author signed. The redacted copy was taken.
    #[error("the event's content was changed after its author signed it")]
    ContentChanged,
    /// `hub_server` names another server than the hub. It was rejected.
    #[error("the event was made for the hub {0}")]
    WrongHub(ServerName),
    /// The LPDU inside is in the room already, as this event. It was rejected.
    #[error("the event repeats the LPDU of {0}")]
    ReplayedLpdu(EventId),
    /// A parent that the hub could not, or would not, give us. What came after it was taken without it.
    #[error("the event's parent {0} was not to be had")]
    MissingParent(EventId),
    /// State that the hub gave to us is not allowed by the events that should authorise it. It was not taken.
    #[error("the state event is not authorised: {0}")]
    UnauthorisedState(String),
    /// The hub took an LPDU of ours (this is its id as such), and put a later one into the room without it.
    #[error("the hub took the LPDU {0} and left it out")]
    SkippedLpdu(EventId),
    /// Its parent is not the event before it in the hub's order: there are two histories, or the hub makes no chain. It was
    /// taken.
    #[error("the event does not follow {before}, the one before it")]
    Forked {
        /// The event before it.
        before: EventId,
        /// Position of the last of its parents that are in the room's order of this stay.
        parent: Option<i64>,
    },
    /// So many events that the hub had put in a chain are not among its ancestors: the hub has forgotten them, or shows
    /// others another history. It was taken.
    #[error("the event comes after {after}, as if the {left_out} events after that were not there")]
    BrokenChain {
        /// The event before those that were left out.
        after: EventId,
        /// How many were.
        left_out: i64,
    },
    /// It is a commit that the room's group must not have got ("Updating Group State"), as far as that can be told without
    /// the group. It was taken.
    #[error("the group must not have got the commit: {0}")]
    GroupCommit(String),
    /// `auth_events` are of the right kinds, and not the current ones. It was taken.
    #[error("the event's auth_events are not the current ones")]
    OutdatedAuthEvents,
}

impl FaultKind {
    /// Whether it proves that the hub does wrong. The others are what the draft expects of a hub and does not demand:
    /// there are hubs that give several events the same parent, or authorise them by what was current a moment ago.
    pub fn is_proof(&self) -> bool {
        !matches!(self, Self::Forked { .. } | Self::OutdatedAuthEvents)
    }

    /// One word for what it is, for whoever counts or compares: it stays the same when the words for people change.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Forbidden(_) => "forbidden",
            Self::AuthEvents(_) => "auth_events",
            Self::BadSignature(_) => "bad_signature",
            Self::ContentChanged => "content_changed",
            Self::WrongHub(_) => "wrong_hub",
            Self::ReplayedLpdu(_) => "replayed_lpdu",
            Self::MissingParent(_) => "missing_parent",
            Self::UnauthorisedState(_) => "unauthorised_state",
            Self::SkippedLpdu(_) => "skipped_lpdu",
            Self::GroupCommit(_) => "group_commit",
            Self::Forked { .. } => "forked",
            Self::BrokenChain { .. } => "broken_chain",
            Self::OutdatedAuthEvents => "outdated_auth_events",
        }
    }
}

/// Why a command was refused. The text is fit to be sent to who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The auth rules, or who may send what for whom, forbid it. 403 `M_FORBIDDEN`.
    #[error("{0}")]
    Forbidden(String),
    /// This server is not the room's hub. 400 `M_WRONG_SERVER`.
    #[error("the room's hub is {0}")]
    NotHub(ServerName),
    /// The room has no create event, so no hub. 404 `M_NOT_FOUND`.
    #[error("the room does not exist")]
    NoRoom,
    /// No user of this server is in the room: events from the hub are dropped without a word.
    #[error("this server is not in the room")]
    NotParticipating,
    /// Not an event that this command can take. 400 `M_BAD_JSON`.
    #[error("{0}")]
    Unfit(String),
    /// The room's group does not allow it ([`axle_mls::hub::Refusal::code`]). 409.
    #[error("mls/{}: {}", .0.code(), .0)]
    Group(axle_mls::hub::Refusal),
    /// Too much is waiting already. To be tried again later.
    #[error("too many events of this room are waiting for earlier ones")]
    Busy,
    /// The event cannot be made. 400 `M_BAD_JSON`.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What the hub answered does not hold. 502 `M_UNKNOWN`.
    #[error("{}: {}", .0.event_id, .0.kind)]
    Unsound(Fault),
}

impl From<axle_mls::hub::Refusal> for Refusal {
    fn from(refusal: axle_mls::hub::Refusal) -> Self {
        Self::Group(refusal)
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        Self::Forbidden(error.0)
    }
}
