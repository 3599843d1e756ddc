//! Full-text search in messages, and in names and topics of rooms.
//!
//! The index follows the log, in stream order, with a cursor of its own: appending costs nothing for it. A redaction takes
//! its target out.

use async_trait::async_trait;
use axle_protocol::RoomId;
use serde::Deserialize;
use serde_json::Value;

use crate::{StoreError, StoredEvent};

/// What of an event is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchKey {
    /// `content.body` of messages.
    Body,
    /// `content.name` of `m.room.name`.
    Name,
    /// `content.topic` of `m.room.topic`.
    Topic,
}

/// What is searched for.
#[derive(Debug, Clone)]
pub struct SearchQuery {
    /// All of these have to be there, in any order. Upper and lower case and accents are the same; a word with
    /// punctuation in it stands for the words that it consists of, one after the other. There is no other syntax.
    pub words: Vec<String>,
    /// Where.
    pub keys: Vec<SearchKey>,
    /// In these rooms.
    pub rooms: Vec<RoomId>,
    /// Only events with this stream position or an earlier one.
    pub until: i64,
    /// So many are looked at, the newest.
    pub limit: usize,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct SearchMatches {
    /// Accepted events, the newest first.
    pub events: Vec<StoredEvent>,
    /// Up to where to go on, if there may be more.
    pub more: Option<i64>,
}

/// Full-text search.
#[async_trait]
pub trait MessageSearch {
    /// The stream position up to which events are in the index.
    async fn searchable_to(&self) -> Result<i64, StoreError>;

    /// Puts the next events after this stream position into the index, after looking at `limit` of them at most.
    /// Returns how far it is now: the last stream position, if there is no more. Only one task may do this.
    async fn make_searchable(&self, after: i64, limit: usize) -> Result<i64, StoreError>;

    /// Searches what is in the index.
    async fn search_messages(&self, query: &SearchQuery) -> Result<SearchMatches, StoreError>;
}

/// The text of an event that can be searched, if it has any.
pub(crate) fn searchable_text(json: &str) -> Option<(SearchKey, String)> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "type")]
        event_type: String,
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        body: Option<Value>,
        name: Option<Value>,
        topic: Option<Value>,
    }
    // Encrypted messages, members and the like are not parsed at all.
    if !["\"m.room.message\"", "\"m.room.name\"", "\"m.room.topic\""].iter().any(|named| json.contains(named)) {
        return None;
    }
    let Event { event_type, content } = serde_json::from_str(json).ok()?;
    let (key, text) = match event_type.as_str() {
        "m.room.message" => (SearchKey::Body, content.body),
        "m.room.name" => (SearchKey::Name, content.name),
        "m.room.topic" => (SearchKey::Topic, content.topic),
        _ => return None,
    };
    match text? {
        Value::String(text) if !text.is_empty() => Some((key, text)),
        _ => None,
    }
}
