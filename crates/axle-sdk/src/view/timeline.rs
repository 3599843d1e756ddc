//! The timeline of a room, redactions applied.

use std::collections::{HashMap, HashSet, VecDeque};

use axle_protocol::event::redact_content;
use serde_json::{Map, Value};

use crate::Event;

/// The events of a room, oldest first, each once.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    items: VecDeque<TimelineItem>,
    known: HashSet<String>,
    /// Redacting event by the event that it redacts; history that comes later is redacted on arrival.
    redactions: HashMap<String, Event>,
    prev_batch: Option<String>,
    complete: bool,
}

/// An event in a timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineItem {
    /// The event; what its redaction left of it, if there was one.
    pub event: Event,
    /// The user's content before a change of state, if it is known.
    pub prev_content: Option<Map<String, Value>>,
    /// Who redacted it and why.
    pub redacted: Option<Redaction>,
}

/// Who redacted an event, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    /// Who.
    pub sender: String,
    /// Why, if they said.
    pub reason: Option<String>,
}

impl Timeline {
    /// The events, oldest first.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = &TimelineItem> + ExactSizeIterator {
        self.items.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether this event is here.
    pub fn contains(&self, event_id: &str) -> bool {
        self.known.contains(event_id)
    }

    /// Where older history begins; `None` if there is none, or none is known of.
    pub fn prev_batch(&self) -> Option<&str> {
        self.prev_batch.as_deref().filter(|_| !self.complete)
    }

    /// Whether the first event is the beginning of the room, or of what the user may see of it.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Adds what a sync brought. Returns whether the event is new.
    pub(super) fn push(&mut self, event: Event, prev_content: Option<Map<String, Value>>) -> bool {
        if !self.learn(&event) {
            return false;
        }
        let item = self.item(event, prev_content);
        self.items.push_back(item);
        true
    }

    /// Adds a page of history, newest first, and where the next one begins.
    pub(super) fn prepend(&mut self, page: Vec<Event>, end: Option<String>) -> usize {
        let before = self.items.len();
        for event in page {
            if self.learn(&event) {
                let item = self.item(event, None);
                self.items.push_front(item);
            }
        }
        self.complete = end.is_none();
        self.prev_batch = end;
        self.items.len() - before
    }

    /// Puts an event in the place of the one with its id, if that is here and was not redacted.
    pub(super) fn replace(&mut self, event: Event) -> bool {
        let item = self.items.iter_mut().rev().find(|item| item.event.event_id == event.event_id);
        let Some(item) = item.filter(|item| item.redacted.is_none()) else { return false };
        item.event = event;
        true
    }

    /// Forgets everything: events are missing between what is here and what comes. History brings it back.
    pub(super) fn restart(&mut self, prev_batch: Option<String>) {
        *self = Self { prev_batch, ..Self::default() };
    }

    pub(super) fn set_prev_batch(&mut self, prev_batch: Option<String>) {
        self.prev_batch = prev_batch;
    }

    /// Notes an event and applies it if it is a redaction. Returns whether it is new.
    fn learn(&mut self, event: &Event) -> bool {
        if event.event_id.is_empty() || !self.known.insert(event.event_id.clone()) {
            return false;
        }
        if let Some(target) = event.redaction_target() {
            if let Some(item) = self.items.iter_mut().find(|item| item.event.event_id == target) {
                item.redact(event);
            }
            self.redactions.insert(target.to_owned(), event.clone());
        }
        true
    }

    fn item(&self, mut event: Event, prev_content: Option<Map<String, Value>>) -> TimelineItem {
        let told = event.unsigned.redacted_because.take();
        let prev_content = event.unsigned.prev_content.take().or(prev_content);
        let redaction = self.redactions.get(&event.event_id).cloned();
        let redaction = redaction.or_else(|| serde_json::from_value(told?).ok());
        let mut item = TimelineItem { event, prev_content, redacted: None };
        if let Some(redaction) = redaction {
            item.redact(&redaction);
        }
        item
    }
}

impl TimelineItem {
    fn redact(&mut self, by: &Event) {
        self.event.content = redact_content(&self.event.event_type, &self.event.content);
        self.redacted = Some(Redaction { sender: by.sender.clone(), reason: by.text("reason").map(str::to_owned) });
    }
}
