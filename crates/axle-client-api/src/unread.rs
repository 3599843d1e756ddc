//! How many events of a room a user has yet to read, by their push rules ("Receiving notifications" and "Receipts" in
//! Matrix's specification).
//!
//! Counting goes along with the room: what one answer of sync counted is kept in memory, and the next adds only the
//! events that came since. Where nothing is kept, after a receipt or a start of the server, the newest
//! [`MAX_EVENTS`] are counted anew, and what is unread beyond them is not. So what a sync costs does not grow with what
//! is unread, and nothing is written for each event and user.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axle_protocol::{EventId, MatrixError, RoomId, UserId};
use axle_store::{Receipt, StoredEvent};
use lru::LruCache;
use ruma::UInt;
use ruma::events::room::power_levels::RoomPowerLevelsEventContent;
use ruma::push::{Action, PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset};
use ruma::room_version_rules::{AuthorizationRules, RoomPowerLevelsRules};
use ruma::serde::Raw;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::error::ApiResult;
use crate::receipts::MAIN;
use crate::state::Api;
use crate::thread;
use crate::token::BEFORE_EVERYTHING;
use crate::visibility;
use crate::{ids, push_rules};

/// Events of a room that are gone through at once, the newest.
const MAX_EVENTS: usize = 200;
/// Counts that are kept, of one user in one room each.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(50_000).unwrap();
/// Members of a room that are counted for the conditions of rules; a room with more counts as having so many.
const MAX_MEMBERS: usize = 128;
/// How much of a message's text is searched for keywords, in bytes. ruma's search goes one level deeper with each place
/// where a keyword might be.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// What is unread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    /// Of those, the ones that are to be highlighted: mentions, keywords.
    highlight_count: u64,
    /// Events that notify the user.
    notification_count: u64,
}

/// What is unread in a room, by thread; `None` is the main timeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unread(BTreeMap<Option<EventId>, Count>);

impl Unread {
    /// In all threads together.
    pub(crate) fn total(&self) -> Count {
        let add = |sum: Count, count: &Count| Count {
            highlight_count: sum.highlight_count.saturating_add(count.highlight_count),
            notification_count: sum.notification_count.saturating_add(count.notification_count),
        };
        self.0.values().fold(Count::default(), add)
    }

    /// In the main timeline.
    pub(crate) fn main(&self) -> Count {
        self.0.get(&None).copied().unwrap_or_default()
    }

    /// In each thread in which there is something.
    pub(crate) fn threads(&self) -> BTreeMap<EventId, Count> {
        self.0.iter().filter_map(|(thread, count)| Some((thread.clone()?, *count))).collect()
    }

    fn add(&mut self, thread: Option<EventId>, highlight: bool) {
        let count = self.0.entry(thread).or_default();
        count.notification_count = count.notification_count.saturating_add(1);
        count.highlight_count = count.highlight_count.saturating_add(highlight.into());
    }
}

/// Counts that were made.
pub(crate) struct Counts(Mutex<LruCache<(UserId, RoomId), Kept>>);

#[derive(Clone)]
struct Kept {
    /// The stream position of the newest receipt that was regarded.
    receipts: i64,
    /// Up to where events were counted, in stream order.
    until: i64,
    unread: Unread,
}

impl Default for Counts {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_KEPT)))
    }
}

impl Counts {
    fn lock(&self) -> MutexGuard<'_, LruCache<(UserId, RoomId), Kept>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who reads, for all rooms of an answer. Their rules are read when they are first needed.
pub(crate) struct Reader<'a> {
    api: &'a Api,
    user_id: &'a UserId,
    rules: OnceCell<Ruleset>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(api: &'a Api, user_id: &'a UserId) -> Self {
        Self { api, user_id, rules: OnceCell::new() }
    }

    /// What is unread of the events up to a stream position in a room that the user is in by this member event. `own` are
    /// all receipts of the user in the room up to there.
    pub(crate) async fn unread(
        &self,
        room_id: &RoomId,
        member: &StoredEvent,
        own: &[Receipt],
        until: i64,
    ) -> ApiResult<Unread> {
        let key = (self.user_id.clone(), room_id.clone());
        let receipts = own.iter().map(|receipt| receipt.stream).max().unwrap_or(BEFORE_EVERYTHING);
        let kept = self.api.unread.lock().get(&key).filter(|kept| kept.receipts == receipts).cloned();
        let (mut unread, after) = match kept {
            Some(kept) if kept.until >= until => return Ok(kept.unread),
            Some(kept) => (kept.unread, kept.until),
            None => (Unread::default(), BEFORE_EVERYTHING),
        };
        let mut news = self.news(room_id, after, until).await?;
        // What was counted may be what is redacted.
        if after > BEFORE_EVERYTHING && news.iter().any(|news| news.is("m.room.redaction")) {
            unread = Unread::default();
            news = self.news(room_id, BEFORE_EVERYTHING, until).await?;
        }
        if !news.is_empty() {
            let rules = self.rules.get_or_try_init(|| push_rules::of(self.api, self.user_id)).await?;
            let context = self.context(room_id, member).await?;
            let counting = Counting { reader: self, rules, context, read: Read::new(own) };
            for event in news {
                counting.add(&mut unread, event).await?;
            }
        }
        self.api.unread.lock().put(key, Kept { receipts, until, unread: unread.clone() });
        Ok(unread)
    }

    async fn news(&self, room_id: &RoomId, after: i64, until: i64) -> ApiResult<Vec<News>> {
        let found = self.api.store.sync_room(room_id, after, until, MAX_EVENTS).await?.timeline;
        Ok(found.into_iter().filter_map(News::new).collect())
    }

    /// The room as the conditions of rules see it.
    async fn context(&self, room_id: &RoomId, member: &StoredEvent) -> ApiResult<PushConditionRoomCtx> {
        let store = &self.api.store;
        let members = store.joined_count(room_id, MAX_MEMBERS).await?;
        let context = PushConditionRoomCtx::new(
            ids::ruma_room(room_id)?,
            UInt::try_from(members).unwrap_or(UInt::MAX),
            ids::ruma_user(self.user_id)?,
            visibility::content::<Named>(member).and_then(|content| content.displayname).unwrap_or_default(),
        );
        let levels = store.state_event(room_id, "m.room.power_levels", "").await?;
        Ok(match levels.as_ref().and_then(visibility::content::<RoomPowerLevelsEventContent>) {
            Some(levels) => context.with_power_levels(power_levels(levels)),
            None => context,
        })
    }

    /// Whether a member event brought the user into the room. What is older they need not read.
    async fn enters(&self, news: &News) -> ApiResult<bool> {
        let is_own = news.is("m.room.member")
            && news.json.get("state_key").and_then(Value::as_str) == Some(self.user_id.as_str());
        let Some(position) = news.event.position.filter(|_| is_own) else { return Ok(false) };
        let user = self.user_id.as_str();
        let before = self.api.store.state_event_before(&news.event.room_id, position, "m.room.member", user).await?;
        Ok(before.as_ref().and_then(visibility::membership) != Some(axle_protocol::auth::Membership::Join))
    }
}

#[derive(Deserialize)]
struct Named {
    displayname: Option<String>,
}

fn power_levels(content: RoomPowerLevelsEventContent) -> PushConditionPowerLevelsCtx {
    // In this server's room versions, creators have no power but what the event gives them.
    let rules = RoomPowerLevelsRules::new(&AuthorizationRules::V11, []);
    PushConditionPowerLevelsCtx::new(content.users, content.users_default, content.notifications, rules)
}

/// An event that may have to be read.
struct News {
    event: StoredEvent,
    json: Value,
}

impl News {
    /// `None`: it cannot be read. Rules look at what ruma parses, and ruma panics if it cannot.
    fn new(event: StoredEvent) -> Option<Self> {
        let mut json: Value = serde_json::from_str(&event.json).ok()?;
        if let Some(Value::String(body)) = json.pointer_mut("/content/body") {
            body.truncate(body.floor_char_boundary(MAX_BODY_BYTES));
        }
        Some(Self { event, json })
    }

    fn is(&self, event_type: &str) -> bool {
        self.json.get("type").and_then(Value::as_str) == Some(event_type)
    }
}

/// Up to which positions a user has read a room.
struct Read<'a> {
    everything: i64,
    threads: HashMap<&'a str, i64>,
}

impl<'a> Read<'a> {
    fn new(own: &'a [Receipt]) -> Self {
        let mut read = Self { everything: i64::MIN, threads: HashMap::new() };
        for receipt in own {
            let position = match receipt.thread.as_deref() {
                None => &mut read.everything,
                Some(thread) => read.threads.entry(thread).or_insert(i64::MIN),
            };
            *position = receipt.position.max(*position);
        }
        read
    }

    fn has(&self, thread: Option<&EventId>, position: i64) -> bool {
        let in_thread = self.threads.get(thread.map_or(MAIN, EventId::as_str));
        position <= self.everything || in_thread.is_some_and(|read| position <= *read)
    }
}

struct Counting<'a> {
    reader: &'a Reader<'a>,
    rules: &'a Ruleset,
    context: PushConditionRoomCtx,
    read: Read<'a>,
}

impl Counting<'_> {
    async fn add(&self, unread: &mut Unread, news: News) -> ApiResult<()> {
        if self.reader.enters(&news).await? {
            *unread = Unread::default();
        }
        let Some(position) = news.event.position.filter(|_| news.event.redacted_by.is_none()) else { return Ok(()) };
        // Rules cost more than a look at what is read, where that says it already.
        let thread = thread::place_at_sight(&news.event);
        if position <= self.read.everything
            || thread.as_ref().is_some_and(|thread| self.read.has(thread.as_ref(), position))
        {
            return Ok(());
        }
        let raw = Raw::new(&news.json).map_err(|error| MatrixError::unknown(error.to_string()))?;
        let actions = self.rules.get_actions(&raw, &self.context).await;
        if !actions.iter().any(Action::should_notify) {
            return Ok(());
        }
        let thread = match thread {
            Some(thread) => thread,
            None => thread::place(self.reader.api, &news.event).await?.thread,
        };
        if !self.read.has(thread.as_ref(), position) {
            unread.add(thread, actions.iter().any(Action::is_highlight));
        }
        Ok(())
    }
}
