//! What a user's push rules say of events.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use axle_protocol::{EventId, UserId};
use axle_store::StoredEvent;
use lru::LruCache;
use ruma::push::{Action, FlattenedJson, PushConditionRoomCtx};
use ruma::serde::Raw;
use serde_json::Value;

use crate::cache::bounded;
use crate::error::ApiResult;
use crate::preferences::Preferences;
use crate::state::Api;
use crate::thread;

/// How much of a message's text is searched for keywords, in bytes. ruma's search goes one level deeper with each place
/// where a keyword might be.
const MAX_BODY_BYTES: usize = 4 * 1024;
/// Events that are kept as rules see them, the newest that were asked for: a new event is judged for everybody in its
/// room.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(512).unwrap();
/// The largest that are kept, in bytes of JSON.
const MAX_KEPT_BYTES: usize = 8 * 1024;

/// An event as rules see it.
pub(super) struct Seen {
    json: FlattenedJson,
    /// See [`thread::place_at_sight`].
    thread: Option<Option<EventId>>,
}

impl Seen {
    /// `None`: it cannot be read. Rules look at what ruma parses, and ruma panics if it cannot.
    fn new(event: &StoredEvent) -> Option<Self> {
        let mut json: Value = serde_json::from_str(&event.json).ok()?;
        if let Some(Value::String(body)) = json.pointer_mut("/content/body") {
            body.truncate(body.floor_char_boundary(MAX_BODY_BYTES));
        }
        let raw = Raw::new(&json).ok()?;
        Some(Self { json: FlattenedJson::from_raw(&raw), thread: thread::place_at_sight(event) })
    }

    pub(super) fn is(&self, event_type: &str) -> bool {
        self.json.get_str("type") == Some(event_type)
    }

    pub(super) fn is_from(&self, user_id: &UserId) -> bool {
        self.json.get_str("sender") == Some(user_id.as_str())
    }

    /// Whether it is the membership of a user.
    pub(super) fn is_membership_of(&self, user_id: &UserId) -> bool {
        self.is("m.room.member") && self.json.get_str("state_key") == Some(user_id.as_str())
    }

    /// What it redacts, if it is a redaction.
    pub(super) fn redacts(&self) -> Option<EventId> {
        let target = self.json.get_str("content.redacts").or_else(|| self.json.get_str("redacts"));
        EventId::parse(target.filter(|_| self.is("m.room.redaction"))?).ok()
    }
}

/// Events as rules see them, for all who are in a room with them.
pub(super) struct Sights(Mutex<LruCache<EventId, Arc<Seen>>>);

impl Default for Sights {
    fn default() -> Self {
        Self(Mutex::new(bounded(MAX_KEPT)))
    }
}

impl Sights {
    /// `None`: it cannot be read.
    pub(super) fn of(&self, event: &StoredEvent) -> Option<Arc<Seen>> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = lock().get(&event.event_id) {
            return Some(seen.clone());
        }
        let seen = Arc::new(Seen::new(event)?);
        if event.json.len() <= MAX_KEPT_BYTES {
            lock().put(event.event_id.clone(), seen.clone());
        }
        Some(seen)
    }
}

/// An event that notifies a user.
pub(super) struct Judged<'a> {
    /// The first event of the thread that it is in; `None`: it is in the main timeline.
    pub(super) thread: Option<EventId>,
    /// What is to be done.
    pub(super) actions: &'a [Action],
}

/// What a user's rules say of the events of a room.
pub(super) struct Judging<'a> {
    pub(super) api: &'a Api,
    pub(super) preferences: &'a Preferences,
    pub(super) context: PushConditionRoomCtx,
}

impl Judging<'_> {
    /// An event, if it notifies the user, and they have not read the room that far: `is_read` tells it of a thread.
    pub(super) async fn event(
        &self,
        event: &StoredEvent,
        seen: &Seen,
        is_read: impl Fn(Option<&EventId>) -> bool,
    ) -> ApiResult<Option<Judged<'_>>> {
        // Rules cost more than a look at what is read, where that says it already.
        if seen.thread.as_ref().is_some_and(|thread| is_read(thread.as_ref())) || event.redacted_by.is_some() {
            return Ok(None);
        }
        let Some(actions) = self.actions(seen).await else { return Ok(None) };
        let thread = match &seen.thread {
            Some(thread) => thread.clone(),
            None => thread::place(self.api, event).await?.thread,
        };
        Ok((!is_read(thread.as_ref())).then_some(Judged { thread, actions }))
    }

    /// What is to be done about an event that notifies. Nobody is notified of whom they ignore.
    pub(super) async fn actions(&self, seen: &Seen) -> Option<&[Action]> {
        if seen.json.get_str("sender").is_some_and(|sender| self.preferences.ignored.has(sender)) {
            return None;
        }
        for rule in self.preferences.rules.iter() {
            if rule.applies(&seen.json, &self.context).await {
                let actions = rule.actions();
                return actions.iter().any(Action::should_notify).then_some(actions);
            }
        }
        None
    }
}
