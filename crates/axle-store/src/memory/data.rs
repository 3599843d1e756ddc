//! What is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use axle_protocol::auth::Membership;
use axle_protocol::event::Hash;
use axle_protocol::{EventId, KeyId, RoomId, RoomVersion, ServerName, UserId};

use super::delayed_events::Delayed;
use super::device_keys::KeyData;
use super::device_lists::ListData;
use super::key_backups::Backups;
use super::oauth::OAuthData;
use crate::{
    AccountData, Announcement, ClientTxnKey, ClientTxnState, DehydratedDevice, Device, ErasedUsers, EventStatus,
    GroupEpoch, HubFault, InboundResponse, KeptReport, LoginToken, MediaItem, MediaThumbnail, NewEdu, OutOfRoom,
    ParkedEvent, PendingLpdu, Profile, Pusher, Receipt, RegistrationToken, Relation, RemoteMediaItem, RoomAlias,
    ServiceProgress, StoredEvent, StoredKey, ToDevice, Tokens, UrlPreview, User, UserToken,
};

/// Answers kept for each origin and endpoint.
const KEPT_RESPONSES: usize = 8;

/// Everything that survives a crash.
#[derive(Default)]
pub(super) struct Data {
    /// The last stream position given out.
    pub(super) stream: i64,
    pub(super) rooms: BTreeMap<RoomId, Room>,
    pub(super) room_of: HashMap<EventId, RoomId>,
    pub(super) by_stream: BTreeMap<i64, EventId>,
    pub(super) out_of_room: BTreeMap<(UserId, RoomId), OutOfRoom>,
    pub(super) destinations: BTreeMap<ServerName, Destination>,
    pub(super) parked: Vec<ParkedEvent>,
    pub(super) lpdus: BTreeMap<i64, PendingLpdu>,
    pub(super) last_lpdu: i64,
    /// In the order in which they were made.
    pub(super) announcements: Vec<Announcement>,
    pub(super) responses: HashMap<(ServerName, String), VecDeque<(String, InboundResponse)>>,
    pub(super) keys: BTreeMap<(ServerName, KeyId), StoredKey>,
    pub(super) key_responses: HashMap<ServerName, Vec<KeyResponse>>,
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) devices: BTreeMap<(UserId, String), Device>,
    /// Handed out and not used yet.
    pub(super) next_tokens: BTreeMap<(UserId, String), Tokens>,
    pub(super) oauth: OAuthData,
    pub(super) login_tokens: BTreeMap<Hash, LoginToken>,
    /// The oldest first.
    pub(super) user_tokens: Vec<(Hash, UserToken)>,
    /// Deactivated, and not out of their rooms yet.
    pub(super) departing: BTreeSet<UserId>,
    pub(super) erased: ErasedUsers,
    pub(super) profiles: HashMap<UserId, Profile>,
    pub(super) profile_fields: HashMap<UserId, BTreeMap<String, String>>,
    pub(super) account_data: HashMap<UserId, BTreeMap<(Option<RoomId>, String), AccountData>>,
    pub(super) receipts: HashMap<RoomId, Vec<Receipt>>,
    pub(super) tokens: BTreeMap<String, RegistrationToken>,
    pub(super) filters: Vec<(UserId, String)>,
    pub(super) txns: HashMap<ClientTxnKey, ClientTxnState>,
    pub(super) e2ee: KeyData,
    pub(super) dehydrated: HashMap<UserId, DehydratedDevice>,
    pub(super) key_backups: HashMap<UserId, Backups>,
    /// In the order in which they were scheduled.
    pub(super) delayed: Vec<Delayed>,
    /// By device, the oldest message first.
    pub(super) to_device: HashMap<(UserId, String), Vec<ToDevice>>,
    pub(super) to_device_txns: HashSet<ClientTxnKey>,
    /// Ids of what came from each server.
    pub(super) to_device_seen: HashMap<ServerName, Vec<String>>,
    /// By place in the queues.
    pub(super) edus: BTreeMap<i64, NewEdu>,
    pub(super) last_edu: i64,
    pub(super) device_lists: ListData,
    pub(super) media: BTreeMap<String, MediaItem>,
    pub(super) aliases: BTreeMap<String, RoomAlias>,
    pub(super) listed: BTreeSet<RoomId>,
    /// User, room.
    pub(super) forgotten: BTreeSet<(String, RoomId)>,
    pub(super) notice_rooms: BTreeMap<UserId, RoomId>,
    /// The oldest first.
    pub(super) reports: Vec<KeptReport>,
    pub(super) last_report: i64,
    /// By content and size.
    pub(super) thumbnails: HashMap<(Hash, String), MediaThumbnail>,
    /// How far application services have been told, by their ids.
    pub(super) service_progress: BTreeMap<String, ServiceProgress>,
    /// Service, network, room.
    pub(super) network_rooms: BTreeSet<(String, String, RoomId)>,
    pub(super) remote_media: BTreeMap<(ServerName, String), RemoteMediaItem>,
    /// Content that nobody gets, and who has seen to that.
    pub(super) quarantined: HashMap<Hash, UserId>,
    /// By URL, the oldest first.
    pub(super) url_previews: VecDeque<(String, UrlPreview)>,
    pub(super) blocked_servers: BTreeSet<ServerName>,
    pub(super) blocked_rooms: BTreeSet<RoomId>,
    /// With the servers that are being asked.
    pub(super) restored_rooms: BTreeMap<RoomId, BTreeSet<ServerName>>,
    /// In the order in which they were set.
    pub(super) pushers: Vec<Pusher>,
    pub(super) last_pusher: i64,
    /// Up to which stream position events are found by their texts.
    pub(super) searchable_to: i64,
}

/// What nobody waits for, until something durable is written.
#[derive(Default)]
pub(super) struct Volatile {
    pub(super) destinations: BTreeMap<ServerName, Destination>,
    pub(super) responses: Vec<(ServerName, String, String, InboundResponse)>,
}

/// A room.
pub(super) struct Room {
    pub(super) version: RoomVersion,
    pub(super) newest_stream: i64,
    pub(super) events: HashMap<EventId, StoredEvent>,
    pub(super) lpdus: HashMap<Hash, EventId>,
    /// By position.
    pub(super) order: BTreeMap<i64, EventId>,
    pub(super) state: BTreeMap<(String, String), Current>,
    /// In the order in which they were made.
    pub(super) changes: Vec<StateChange>,
    /// Redactions whose target has not arrived: target, redaction.
    pub(super) pending_redactions: HashMap<EventId, EventId>,
    pub(super) intervals: Vec<Interval>,
    pub(super) faults: VecDeque<HubFault>,
    /// Of every event that has one, whatever became of it.
    pub(super) relations: HashMap<EventId, Related>,
    /// By epoch.
    pub(super) groups: BTreeMap<u64, GroupEpoch>,
}

/// An event that relates to another.
pub(super) struct Related {
    pub(super) relation: Relation,
    pub(super) event_type: String,
    pub(super) sender: UserId,
}

/// An entry of current state.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) event_id: EventId,
    pub(super) membership: Option<Membership>,
}

/// A change of state.
pub(super) struct StateChange {
    pub(super) key: (String, String),
    pub(super) event_id: EventId,
    /// The first position whose state before it has it.
    pub(super) holds_from: i64,
    /// `None`: history, never current here.
    pub(super) stream: Option<i64>,
}

/// Who gets which positions: `after < position <= until`.
pub(super) struct Interval {
    pub(super) destination: ServerName,
    pub(super) after: i64,
    pub(super) until: Option<i64>,
}

/// A destination.
#[derive(Clone, Default)]
pub(super) struct Destination {
    pub(super) cursor: i64,
    pub(super) failing_since: Option<i64>,
    pub(super) last_error: Option<String>,
}

/// A published response with one set of keys.
pub(super) struct KeyResponse {
    pub(super) keys: BTreeSet<(String, String, Option<i64>)>,
    pub(super) valid_until_ts: i64,
    pub(super) response: String,
}

impl Data {
    pub(super) fn next_stream(&mut self) -> i64 {
        self.stream += 1;
        self.stream
    }

    pub(super) fn event(&self, event_id: &EventId) -> Option<&StoredEvent> {
        self.rooms.get(self.room_of.get(event_id)?)?.events.get(event_id)
    }

    /// Makes durable what was not.
    pub(super) fn take_over(&mut self, volatile: Volatile) {
        self.destinations.extend(volatile.destinations);
        for (origin, endpoint, txn_id, response) in volatile.responses {
            let kept = self.responses.entry((origin, endpoint)).or_default();
            kept.push_back((txn_id, response));
            if kept.len() > KEPT_RESPONSES {
                kept.pop_front();
            }
        }
    }
}

impl Room {
    pub(super) fn new(version: RoomVersion, newest_stream: i64) -> Self {
        Self {
            version,
            newest_stream,
            events: HashMap::new(),
            lpdus: HashMap::new(),
            order: BTreeMap::new(),
            state: BTreeMap::new(),
            changes: Vec::new(),
            pending_redactions: HashMap::new(),
            intervals: Vec::new(),
            faults: VecDeque::new(),
            relations: HashMap::new(),
            groups: BTreeMap::new(),
        }
    }

    /// The greatest position.
    pub(super) fn head(&self) -> Option<i64> {
        self.order.keys().next_back().copied()
    }

    /// The event at a position.
    pub(super) fn at(&self, position: i64) -> Option<&StoredEvent> {
        self.events.get(self.order.get(&position)?)
    }

    /// Whether a destination gets an event.
    pub(super) fn is_for(&self, event: &StoredEvent, destination: &ServerName) -> bool {
        let Some(position) = event.position else { return false };
        let within = |interval: &Interval| {
            interval.destination == *destination
                && interval.after < position
                && interval.until.is_none_or(|until| position <= until)
        };
        matches!(event.status, EventStatus::Accepted | EventStatus::SoftFailed) && self.intervals.iter().any(within)
    }

    /// An event's JSON.
    pub(super) fn json(&self, event_id: &EventId) -> Option<Arc<str>> {
        self.events.get(event_id).map(|event| event.json.clone())
    }
}
