//! Events that relate to other events: edits, threads, references, reactions ("Relationship types" in Matrix's
//! specification).

use async_trait::async_trait;
use axle_protocol::limits::MAX_ID_BYTES;
use axle_protocol::{Event, EventId, RoomId, UserId};
use serde_json::Value;

use crate::{Direction, StoreError, StoredEvent};

/// `rel_type` of an edit.
pub const REPLACE: &str = "m.replace";
/// `rel_type` of an event in a thread.
pub const THREAD: &str = "m.thread";
/// `rel_type` of a reference.
pub const REFERENCE: &str = "m.reference";

/// Edits of an event that are read to find the one that holds, newest first.
pub const MAX_EDITS: usize = 20;
/// References to an event that are told with it, oldest first.
pub const MAX_REFERENCES: usize = 100;
/// How many steps relations of relations are followed.
pub const MAX_RELATION_DEPTH: u32 = 3;
/// Events that following relations of relations passes through, at most.
pub const MAX_RELATED: usize = 10_000;

/// What an event says of its relation to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The other event. It may be unknown, or in another room: then nothing comes of it.
    pub target: EventId,
    /// `rel_type`.
    pub rel_type: String,
}

impl Relation {
    /// The relation that an event has, if it has one. Encrypted events say it in the clear.
    pub fn of(event: &Event) -> Option<Self> {
        let relation = event.content().get("m.relates_to")?;
        let text = |key: &str| relation.get(key).and_then(Value::as_str);
        let rel_type = text("rel_type").filter(|rel_type| rel_type.len() <= MAX_ID_BYTES)?;
        Some(Self { target: EventId::parse(text("event_id")?).ok()?, rel_type: rel_type.to_owned() })
    }
}

/// An event whose relations are summed up.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its id.
    pub event_id: EventId,
    /// Who sent it: only they edit it.
    pub sender: String,
}

/// What relates to an event, summed up.
#[derive(Debug, Clone, Default)]
pub struct Aggregation {
    /// Edits by the event's sender, the newest in the room's order first, [`MAX_EDITS`] at most. Nothing is said of
    /// whether they are valid.
    pub edits: Vec<StoredEvent>,
    /// The thread that begins with the event.
    pub thread: Option<Thread>,
    /// Events that refer to it, oldest first, [`MAX_REFERENCES`] at most.
    pub references: Vec<StoredEvent>,
}

/// A thread.
#[derive(Debug, Clone)]
pub struct Thread {
    /// The last event in the room's order.
    pub latest: StoredEvent,
    /// How many events there are beside its root.
    pub count: u64,
    /// Whether the reader sent one of them.
    pub participated: bool,
}

/// Whose relations are asked for.
#[derive(Debug, Clone)]
pub struct RelationQuery {
    /// The event.
    pub target: EventId,
    /// Only with this `rel_type`.
    pub rel_type: Option<String>,
    /// Only events of this type.
    pub event_type: Option<String>,
    /// Relations of relations, too: [`MAX_RELATION_DEPTH`] steps, whatever relations lead there.
    pub recurse: bool,
    /// Which way to read.
    pub direction: Direction,
    /// Where to begin, just before the event at this position; `None`: at the end (backward) or the beginning (forward).
    pub from: Option<i64>,
    /// How many.
    pub limit: usize,
}

/// The place of a thread in its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadPlace {
    /// The event that it begins with. It need not be known here.
    pub root: EventId,
    /// Position of its last event.
    pub latest: i64,
    /// Whether the reader sent something in it, beside the root.
    pub participated: bool,
}

/// Relations between the events of a room: of those that are part of it, and not redacted.
#[async_trait]
pub trait Relations {
    /// What relates to these events of a room by events before a position, by kind; nothing of those to which nothing
    /// does. `reader` is who asks: whether they take part in a thread.
    async fn aggregations(
        &self,
        room_id: &RoomId,
        targets: &[Target],
        reader: &UserId,
        before: i64,
    ) -> Result<Vec<(EventId, Aggregation)>, StoreError>;

    /// The events that relate to one, in the room's order.
    async fn relations(&self, room_id: &RoomId, query: &RelationQuery) -> Result<Vec<StoredEvent>, StoreError>;

    /// The threads of a room whose last event is before a position, the one with the newest first.
    async fn threads(
        &self,
        room_id: &RoomId,
        reader: &UserId,
        before: i64,
        limit: usize,
    ) -> Result<Vec<ThreadPlace>, StoreError>;
}
