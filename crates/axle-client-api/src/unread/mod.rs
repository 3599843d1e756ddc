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
use crate::ignored::Ignored;
use crate::receipts::MAIN;
use crate::state::Api;
use crate::thread;
use crate::token::BEFORE_EVERYTHING;
use crate::visibility;
use crate::{ids, push_rules};

/// Events of a room that are gone through at once, the newest.
pub(crate) const MAX_EVENTS: usize = 200;
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

impl Count {
    /// Events that notify the user.
    pub(crate) fn notifications(self) -> u64 {
        self.notification_count
    }
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
    /// That of the list of whom the user ignores.
    ignored: i64,
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

/// Who reads, for all rooms of an answer. Their rules, and whom they ignore, are read when that is first needed.
pub(crate) struct Reader<'a> {
    api: &'a Api,
    user_id: &'a UserId,
    rules: OnceCell<Ruleset>,
    ignored: OnceCell<Ignored>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(api: &'a Api, user_id: &'a UserId) -> Self {
        Self { api, user_id, rules: OnceCell::new(), ignored: OnceCell::new() }
    }

    /// Whom the user ignores.
    pub(crate) async fn ignored(&self) -> ApiResult<&Ignored> {
        self.ignored.get_or_try_init(|| Ignored::of(self.api, self.user_id)).await
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
        let ignored = self.ignored().await?.stream;
        let is_good = |kept: &&Kept| kept.receipts == receipts && kept.ignored == ignored;
        let kept = self.api.unread.lock().get(&key).filter(is_good).cloned();
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
            let judging = self.judging(room_id, member, own).await?;
            for event in news {
                if self.enters(&event).await? {
                    unread = Unread::default();
                }
                if let Some(notifying) = judging.unread(event).await? {
                    unread.add(notifying.thread, notifying.actions.iter().any(Action::is_highlight));
                }
            }
        }
        self.api.unread.lock().put(key, Kept { receipts, ignored, until, unread: unread.clone() });
        Ok(unread)
    }

    /// Of the newest [`MAX_EVENTS`] events of such a room with `after < stream <= until`, those that notify the user,
    /// oldest first; what they have read only if `with_read` says so.
    pub(crate) async fn notifying(
        &self,
        room_id: &RoomId,
        member: &StoredEvent,
        own: &[Receipt],
        (after, until): (i64, i64),
        with_read: bool,
    ) -> ApiResult<Vec<Notifying>> {
        let news = self.news(room_id, after, until).await?;
        if news.is_empty() {
            return Ok(Vec::new());
        }
        let judging = self.judging(room_id, member, own).await?;
        let mut found = Vec::new();
        for event in news {
            if self.enters(&event).await? {
                found.clear();
            }
            found.extend(if with_read { judging.any(event).await? } else { judging.unread(event).await? });
        }
        Ok(found)
    }

    /// Whether an invite notifies the user whom it is for.
    pub(crate) async fn invite(&self, invite: StoredEvent) -> ApiResult<Option<Notifying>> {
        let judging = self.judging(&invite.room_id, &invite, &[]).await?;
        let Some(news) = News::new(invite) else { return Ok(None) };
        let actions = judging.actions(&news).await?;
        Ok(actions.map(|actions| Notifying { event: news.event, thread: None, actions, read: false }))
    }

    /// The user's rules, about a room.
    async fn judging<'b>(
        &'b self,
        room_id: &RoomId,
        member: &StoredEvent,
        own: &'b [Receipt],
    ) -> ApiResult<Judging<'b>> {
        let rules = self.rules.get_or_try_init(|| push_rules::of(self.api, self.user_id)).await?;
        let context = self.context(room_id, member).await?;
        let ignored = self.ignored().await?;
        Ok(Judging { api: self.api, rules, ignored, context, read: Read::new(own) })
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

/// An event that notifies a user.
pub(crate) struct Notifying {
    pub(crate) event: StoredEvent,
    /// The first event of the thread that it is in; `None`: it is in the main timeline.
    thread: Option<EventId>,
    /// What is to be done.
    pub(crate) actions: Vec<Action>,
    /// Whether the user has read it.
    pub(crate) read: bool,
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

/// What a user's rules say of the events of a room.
struct Judging<'a> {
    api: &'a Api,
    rules: &'a Ruleset,
    ignored: &'a Ignored,
    context: PushConditionRoomCtx,
    read: Read<'a>,
}

impl Judging<'_> {
    /// An event that is not read, if it notifies.
    async fn unread(&self, news: News) -> ApiResult<Option<Notifying>> {
        // Rules cost more than a look at what is read, where that says it already.
        let at_sight = |position| {
            let thread = thread::place_at_sight(&news.event);
            thread.is_some_and(|thread| self.read.has(thread.as_ref(), position))
        };
        if news.event.position.is_some_and(|position| position <= self.read.everything || at_sight(position)) {
            return Ok(None);
        }
        Ok(self.any(news).await?.filter(|notifying| !notifying.read))
    }

    /// An event, if it notifies.
    async fn any(&self, news: News) -> ApiResult<Option<Notifying>> {
        let Some(position) = news.event.position.filter(|_| news.event.redacted_by.is_none()) else { return Ok(None) };
        let Some(actions) = self.actions(&news).await? else { return Ok(None) };
        let thread = match thread::place_at_sight(&news.event) {
            Some(thread) => thread,
            None => thread::place(self.api, &news.event).await?.thread,
        };
        let read = self.read.has(thread.as_ref(), position);
        Ok(Some(Notifying { event: news.event, thread, actions, read }))
    }

    /// What is to be done about an event that notifies. Nobody is notified of whom they ignore.
    async fn actions(&self, news: &News) -> ApiResult<Option<Vec<Action>>> {
        if news.json.get("sender").and_then(Value::as_str).is_some_and(|sender| self.ignored.has(sender)) {
            return Ok(None);
        }
        let raw = Raw::new(&news.json).map_err(|error| MatrixError::unknown(error.to_string()))?;
        let actions = self.rules.get_actions(&raw, &self.context).await;
        Ok(actions.iter().any(Action::should_notify).then(|| actions.to_vec()))
    }
}
