//! Which events a client wants to see.

use std::borrow::Cow;

use axle_protocol::RoomId;
use axle_store::StoredEvent;
use ruma::api::client::filter::{Filter, LazyLoadOptions, RoomEventFilter, UrlFilter};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A filter on the events of a room.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventFilter(RoomEventFilter);

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    sender: Cow<'a, str>,
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    url: Option<IgnoredAny>,
}

impl EventFilter {
    pub(crate) fn new(filter: RoomEventFilter) -> Self {
        Self(filter)
    }

    /// How many events, if the filter says so.
    pub(crate) fn limit(&self) -> Option<usize> {
        self.0.limit.and_then(|limit| usize::try_from(u64::from(limit)).ok())
    }

    /// Whether only those members are wanted whom the events are about.
    pub(crate) fn lazy_loads_members(&self) -> bool {
        !self.0.lazy_load_options.is_disabled()
    }

    /// Whether they are wanted although the client has been told of them.
    pub(crate) fn repeats_members(&self) -> bool {
        matches!(self.0.lazy_load_options, LazyLoadOptions::Enabled { include_redundant_members: true })
    }

    /// Whether a room is wanted.
    pub(crate) fn allows_room(&self, room_id: &RoomId) -> bool {
        allows_room(self.0.rooms.as_deref(), &self.0.not_rooms, room_id)
    }

    /// Whether events of a type are wanted.
    pub(crate) fn allows_type(&self, event_type: &str) -> bool {
        is_listed(self.0.types.as_deref(), &self.0.not_types, event_type)
    }

    /// Whether every event of a room is wanted that is.
    pub(crate) fn is_open(&self) -> bool {
        let filter = &self.0;
        filter.types.is_none()
            && filter.not_types.is_empty()
            && filter.senders.is_none()
            && filter.not_senders.is_empty()
            && filter.url_filter.is_none()
    }

    /// Whether an event is wanted.
    pub(crate) fn allows(&self, event: &StoredEvent) -> bool {
        let filter = &self.0;
        if self.is_open() {
            return true;
        }
        let Ok(fields) = serde_json::from_str::<Fields<'_>>(&event.json) else { return false };
        let by = |sender: &ruma::OwnedUserId| sender.as_str() == fields.sender;
        let has_url = event.redacted_by.is_none() && fields.content.url.is_some();
        self.allows_type(&fields.event_type)
            && filter.senders.as_ref().is_none_or(|senders| senders.iter().any(by))
            && !filter.not_senders.iter().any(by)
            && filter.url_filter.as_ref().is_none_or(|wanted| has_url == (*wanted == UrlFilter::EventsWithUrl))
    }
}

/// Whether lists of wanted and unwanted rooms let a room through.
pub(crate) fn allows_room(wanted: Option<&[ruma::OwnedRoomId]>, unwanted: &[ruma::OwnedRoomId], id: &RoomId) -> bool {
    let is = |room: &ruma::OwnedRoomId| room.as_str() == id.as_str();
    wanted.is_none_or(|wanted| wanted.iter().any(is)) && !unwanted.iter().any(is)
}

/// Whether a filter on what belongs to no room lets a type through.
pub(crate) fn allows_type(filter: &Filter, event_type: &str) -> bool {
    is_listed(filter.types.as_deref(), &filter.not_types, event_type)
}

/// Whether patterns of wanted and unwanted types let a type through.
fn is_listed(wanted: Option<&[String]>, unwanted: &[String], event_type: &str) -> bool {
    let is = |pattern: &String| matches(pattern, event_type);
    wanted.is_none_or(|wanted| wanted.iter().any(is)) && !unwanted.iter().any(is)
}

/// Whether a type is what a pattern, in which `*` stands for any characters, says.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let Some(tail) = parts.pop() else { return true };
    for part in parts {
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, text, expected) in [
            ("m.room.name", "m.room.name", true),
            ("m.room.name", "m.room.names", false),
            ("m.room.*", "m.room.name", true),
            ("*", "", true),
            ("*name", "m.room.name", true),
            ("m.*.name", "m.room.name", true),
            ("m.*.name", "m.name", false),
            ("m.*o*o*.n*", "m.room.name", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
