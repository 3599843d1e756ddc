//! Events: LPDUs and PDUs ("Events", "Linearized PDU").
//!
//! An [`Event`] is parsed once, keeps its exact bytes and the canonical form of each top-level field, and is cheap to
//! clone. Hashes and signatures are computed by putting those slices together, never by serialising again.

mod build;
mod fields;
mod hash;
mod parse;
mod redact;
mod stripped;
mod verify;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

pub use build::{BuildError, Template};
pub use hash::{reference_id, sha256};
pub use parse::EventError;
pub use redact::redact_content;
pub use stripped::{STRIPPED_STATE_TYPES, parse_stripped, stripped};
pub use verify::{Hashes, RequiredSignature, Verification};

use crate::id::{EventId, RoomId, ServerName, UserId};
use crate::room_version::RoomVersion;
use fields::Fields;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Whether an event is partial or finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Made by a participant; the hub has not completed it.
    Lpdu,
    /// Finished: it has `auth_events`, `prev_events` and a content hash.
    Pdu,
}

/// An event that has the schema of its room version. Its hashes and signatures are checked by [`Event::verify`].
#[derive(Clone)]
pub struct Event(Arc<Inner>);

/// Signatures by entity, then key id.
type Signatures = BTreeMap<String, BTreeMap<String, String>>;

struct Inner {
    version: RoomVersion,
    kind: EventKind,
    /// The JSON as it came, unless that was the canonical form.
    exact: Option<Box<str>>,
    /// Computed when first asked for: a hub needs no id for an LPDU that it accepts.
    event_id: OnceLock<EventId>,
    room_id: RoomId,
    event_type: Arc<str>,
    state_key: Option<Arc<str>>,
    sender: UserId,
    origin_server_ts: i64,
    hub_server: Option<ServerName>,
    content: Arc<Map<String, Value>>,
    /// Canonical.
    redacted_content: Cow<'static, str>,
    auth_events: Vec<EventId>,
    prev_events: Vec<EventId>,
    claimed: Claimed,
    signatures: Signatures,
    fields: Fields,
}

/// The hashes that an event says it has.
#[derive(Debug, Clone, Default)]
struct Claimed {
    lpdu: Option<Hash>,
    content: Option<Hash>,
    /// `hashes` with nothing but `lpdu`, canonical; with `lpdu`.
    lpdu_json: Option<Box<str>>,
}

impl Event {
    /// The room version it was parsed for.
    pub fn version(&self) -> RoomVersion {
        self.0.version
    }

    /// LPDU or PDU.
    pub fn kind(&self) -> EventKind {
        self.0.kind
    }

    /// The exact JSON it was parsed from, or built as.
    pub fn json(&self) -> &str {
        self.0.exact.as_deref().unwrap_or_else(|| self.canonical_json())
    }

    /// The whole event in canonical form.
    pub fn canonical_json(&self) -> &str {
        self.0.fields.canonical()
    }

    /// The reference hash as an id. An LPDU's own id is not that of the PDU it becomes.
    pub fn event_id(&self) -> &EventId {
        self.0.event_id.get_or_init(|| EventId::from_reference_hash(&sha256(self.redacted_input())))
    }

    /// `room_id`.
    pub fn room_id(&self) -> &RoomId {
        &self.0.room_id
    }

    /// `type`.
    pub fn event_type(&self) -> &str {
        &self.0.event_type
    }

    /// `state_key`; a state event has one.
    pub fn state_key(&self) -> Option<&str> {
        self.0.state_key.as_deref()
    }

    /// Whether it is a state event.
    pub fn is_state(&self) -> bool {
        self.0.state_key.is_some()
    }

    /// `sender`.
    pub fn sender(&self) -> &UserId {
        &self.0.sender
    }

    /// `origin_server_ts`, milliseconds since the Unix epoch.
    pub fn origin_server_ts(&self) -> i64 {
        self.0.origin_server_ts
    }

    /// `hub_server`; present on LPDUs and on PDUs made from them.
    pub fn hub_server(&self) -> Option<&ServerName> {
        self.0.hub_server.as_ref()
    }

    /// `content`.
    pub fn content(&self) -> &Map<String, Value> {
        &self.0.content
    }

    /// `content.membership`, on an `m.room.member` event.
    pub fn membership(&self) -> Option<&str> {
        (self.event_type() == "m.room.member").then(|| self.content().get("membership")?.as_str()).flatten()
    }

    /// `auth_events`; empty on an LPDU.
    pub fn auth_events(&self) -> &[EventId] {
        &self.0.auth_events
    }

    /// `prev_events`; empty on an LPDU.
    pub fn prev_events(&self) -> &[EventId] {
        &self.0.prev_events
    }

    /// `hashes.lpdu.sha256` as claimed; what an echo is recognised by. [`Event::verify`] says whether it is true.
    pub fn lpdu_hash(&self) -> Option<&Hash> {
        self.0.claimed.lpdu.as_ref()
    }

    /// `hashes.sha256` as claimed.
    pub fn content_hash(&self) -> Option<&Hash> {
        self.0.claimed.content.as_ref()
    }

    /// The event that an `m.room.redaction` redacts (`content.redacts`).
    pub fn redacts(&self) -> Option<EventId> {
        if self.event_type() != "m.room.redaction" {
            return None;
        }
        EventId::parse(self.content().get("redacts")?.as_str()?).ok()
    }

    /// The servers that have signed, whether rightly or not.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.0.signatures.keys().map(String::as_str)
    }

    /// The ids of the keys that `server` signed with.
    pub fn signing_keys(&self, server: &str) -> impl Iterator<Item = &str> {
        self.0.signatures.get(server).into_iter().flat_map(|keys| keys.keys().map(String::as_str))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.0.version == other.0.version && self.json() == other.json()
    }
}

impl Eq for Event {}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event").field("id", self.event_id()).field("json", &self.json()).finish()
    }
}
