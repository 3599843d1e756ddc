//! How many events of a room a user has yet to read, by their push rules ("Receiving notifications" and "Receipts" in
//! Matrix's specification).
//!
//! Counting goes along with the room: which events are unread is kept in memory for each user and room that is asked about,
//! and the next answer adds what came since, and leaves out what was read or redacted. Where nothing is kept, as after a
//! start of the server, events are counted anew, from where the user has read to or came in, the newest [`MAX_EVENTS`] at
//! most. So what a sync costs goes with what is unread, not with the room's history, and nothing is written for each event
//! and user.

mod anew;
mod judging;
mod tally;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axle_protocol::auth::Membership;
use axle_protocol::{EventId, RoomId, UserId};
use axle_store::{Receipt, StoredEvent};
use lru::LruCache;
use ruma::UInt;
use ruma::push::{Action, PushConditionRoomCtx};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::error::ApiResult;
use crate::ids;
use crate::ignored::Ignored;
use crate::preferences::Preferences;
use crate::room_facts::RoomFacts;
use crate::state::Api;
use crate::visibility;
use judging::{Judging, Sights};
use tally::{Read, Tally, UnreadEvent};

pub(crate) use tally::{Count, Unread};

/// Events of a room that are gone through at once for a count, the newest. If more came since the last count, what was
/// unread before them is not counted any more.
const MAX_EVENTS: usize = 1_000;
/// Of a room's newest events, so many are gone through for those that notify.
pub(crate) const MAX_LISTED: usize = 200;
/// Counts that are kept, of one user in one room each, and the runs of unread events of all of them together.
const MAX_KEPT: usize = 50_000;
const MAX_KEPT_RUNS: usize = 500_000;

/// Counts that were made.
#[derive(Default)]
pub(crate) struct Counts {
    kept: Mutex<Kept>,
    sights: Sights,
}

struct Kept {
    tallies: LruCache<(UserId, RoomId), Arc<Tally>>,
    /// In all of them.
    runs: usize,
}

impl Default for Kept {
    fn default() -> Self {
        Self { tallies: LruCache::unbounded(), runs: 0 }
    }
}

impl Counts {
    fn get(&self, key: &(UserId, RoomId)) -> Option<Arc<Tally>> {
        self.lock().tallies.get(key).cloned()
    }

    /// Keeps a count, unless another request got further meanwhile.
    fn put(&self, key: (UserId, RoomId), tally: Tally) {
        let mut kept = self.lock();
        let is_behind = |known: &Arc<Tally>| known.ignored == tally.ignored && known.until > tally.until;
        if kept.tallies.peek(&key).is_some_and(is_behind) {
            return;
        }
        kept.runs += tally.size();
        let before = kept.tallies.put(key, Arc::new(tally));
        kept.runs -= before.map_or(0, |before| before.size());
        while kept.tallies.len() > MAX_KEPT || kept.runs > MAX_KEPT_RUNS {
            let Some((_, oldest)) = kept.tallies.pop_lru() else { break };
            kept.runs -= oldest.size();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it is held.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events of a room that were read for something else: all that it has with `after < stream`, up to the moment that is
/// asked about, oldest first.
#[derive(Clone, Copy)]
pub(crate) struct Events<'a> {
    pub(crate) after: i64,
    pub(crate) events: &'a [StoredEvent],
}

/// Who reads, for all rooms of an answer. What they want is read when that is first needed.
pub(crate) struct Reader<'a> {
    api: &'a Api,
    user_id: &'a UserId,
    preferences: OnceCell<Arc<Preferences>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(api: &'a Api, user_id: &'a UserId) -> Self {
        Self { api, user_id, preferences: OnceCell::new() }
    }

    /// Whom the user ignores.
    pub(crate) async fn ignored(&self) -> ApiResult<&Ignored> {
        Ok(&self.preferences().await?.ignored)
    }

    /// What is unread of the events up to a stream position in a room that the user is in by this member event. `read`:
    /// its newest events, if they were read already.
    pub(crate) async fn unread(
        &self,
        room_id: &RoomId,
        member: &StoredEvent,
        until: i64,
        read: Option<Events<'_>>,
    ) -> ApiResult<Unread> {
        let key = (self.user_id.clone(), room_id.clone());
        let ignored = self.ignored().await?.stream;
        let kept = self.api.unread.get(&key).filter(|kept| kept.ignored == ignored);
        let tally = match kept {
            Some(kept) if kept.until >= until => return Ok(kept.unread().clone()),
            Some(kept) => self.go_on(room_id, member, &kept, until, read).await?,
            None => None,
        };
        let tally = match tally {
            Some(tally) => tally,
            None => self.count_anew(room_id, member, until).await?,
        };
        let unread = tally.unread().clone();
        self.api.unread.put(key, tally);
        Ok(unread)
    }

    /// Of the newest [`MAX_LISTED`] events of such a room with `after < stream <= until`, those that notify the user,
    /// oldest first; what they have read only if `with_read` says so. `own` are their receipts.
    pub(crate) async fn notifying(
        &self,
        room_id: &RoomId,
        member: &StoredEvent,
        own: Vec<Receipt>,
        (after, until): (i64, i64),
        with_read: bool,
    ) -> ApiResult<Vec<Notifying>> {
        let read = Read::new(own);
        let judging = OnceCell::new();
        let mut found = Vec::new();
        for event in self.api.store.sync_room(room_id, after, until, MAX_LISTED).await?.timeline {
            let (Some(position), Some(seen)) = (event.position, self.api.unread.sights.of(&event)) else { continue };
            if seen.is_membership_of(self.user_id) && self.enters(&event).await? {
                found.clear();
            }
            let judging: &Judging<'_> = judging.get_or_try_init(|| self.judging(room_id, member)).await?;
            let is_read = |thread: Option<&EventId>| read.has(thread, position);
            let judged = judging.event(&event, &seen, |thread| !with_read && is_read(thread)).await?;
            if let Some(judged) = judged {
                let (read, actions) = (is_read(judged.thread.as_ref()), judged.actions.to_vec());
                found.push(Notifying { event, actions, read });
            }
        }
        Ok(found)
    }

    /// Whether an invite notifies the user whom it is for.
    pub(crate) async fn invite(&self, invite: StoredEvent) -> ApiResult<Option<Notifying>> {
        let judging = self.judging(&invite.room_id, &invite).await?;
        let Some(seen) = self.api.unread.sights.of(&invite) else { return Ok(None) };
        let actions = judging.actions(&seen).await.map(<[Action]>::to_vec);
        Ok(actions.map(|actions| Notifying { event: invite, actions, read: false }))
    }

    /// Goes on from a count; `None`: too much happened since.
    async fn go_on(
        &self,
        room_id: &RoomId,
        member: &StoredEvent,
        kept: &Tally,
        until: i64,
        read: Option<Events<'_>>,
    ) -> ApiResult<Option<Tally>> {
        let after = kept.until;
        let stored;
        let news = match read.filter(|read| read.after <= after) {
            Some(Events { events, .. }) => {
                events.get(events.partition_point(|event| event.stream <= after)..).unwrap_or_default()
            }
            None => {
                stored = self.api.store.sync_room(room_id, after, until, MAX_EVENTS).await?;
                if stored.limited {
                    return Ok(None);
                }
                &stored.timeline
            }
        };
        let mut tally = kept.clone();
        tally.until = until;
        // What came since cannot have been read before.
        let mut read = Read::nothing();
        if self.api.store.has_receipts(room_id, after).await? {
            read = self.read(room_id, until).await?;
            tally.read(&read);
        }
        self.leave_out_redacted(&mut tally, room_id, news).await?;
        self.add(&mut tally, room_id, member, &read, news).await?;
        Ok(Some(tally))
    }

    /// Adds those of these events, oldest first, that notify the user and are not read.
    async fn add(
        &self,
        tally: &mut Tally,
        room_id: &RoomId,
        member: &StoredEvent,
        read: &Read,
        events: &[StoredEvent],
    ) -> ApiResult<()> {
        let judging = OnceCell::new();
        for event in events {
            let (Some(position), Some(seen)) = (event.position, self.api.unread.sights.of(event)) else { continue };
            if seen.is_membership_of(self.user_id) && self.enters(event).await? {
                tally.clear();
            }
            if seen.is_from(self.user_id) {
                continue;
            }
            let judging: &Judging<'_> = judging.get_or_try_init(|| self.judging(room_id, member)).await?;
            if let Some(judged) = judging.event(event, &seen, |thread| read.has(thread, position)).await? {
                let highlight = judged.actions.iter().any(Action::is_highlight);
                tally.add(UnreadEvent { position, thread: judged.thread.map(Arc::new), highlight });
            }
        }
        Ok(())
    }

    /// Leaves out what is redacted by any of these events.
    async fn leave_out_redacted(&self, tally: &mut Tally, room_id: &RoomId, events: &[StoredEvent]) -> ApiResult<()> {
        if tally.is_empty() {
            return Ok(());
        }
        let target = |event: &StoredEvent| self.api.unread.sights.of(event)?.redacts();
        let targets: Vec<EventId> = events.iter().filter_map(target).collect();
        if targets.is_empty() {
            return Ok(());
        }
        let redacted = |event: &StoredEvent| event.redacted_by.is_some() && event.room_id == *room_id;
        let gone = self.api.store.events(&targets).await?.into_iter().filter(redacted);
        gone.filter_map(|event| event.position).for_each(|position| tally.leave_out(position));
        Ok(())
    }

    async fn read(&self, room_id: &RoomId, until: i64) -> ApiResult<Read> {
        Ok(Read::new(self.api.store.receipts(room_id, self.user_id, until, until, 0).await?.own))
    }

    async fn preferences(&self) -> ApiResult<&Preferences> {
        let read = || Preferences::of(self.api, self.user_id);
        Ok(self.preferences.get_or_try_init(read).await?)
    }

    /// The user's rules, about a room.
    async fn judging<'b>(&'b self, room_id: &RoomId, member: &StoredEvent) -> ApiResult<Judging<'b>> {
        let preferences = self.preferences().await?;
        let facts = RoomFacts::of(self.api, room_id).await?;
        let context = PushConditionRoomCtx::new(
            ids::ruma_room(room_id)?,
            UInt::try_from(facts.members).unwrap_or(UInt::MAX),
            ids::ruma_user(self.user_id)?,
            visibility::content::<Named>(member).and_then(|content| content.displayname).unwrap_or_default(),
        );
        let context = match &facts.levels {
            Some(levels) => context.with_power_levels(levels.clone()),
            None => context,
        };
        Ok(Judging { api: self.api, preferences, context })
    }

    /// Whether a member event brought the user into the room. What is older they need not read.
    async fn enters(&self, event: &StoredEvent) -> ApiResult<bool> {
        let Some(position) = event.position else { return Ok(false) };
        let user = self.user_id.as_str();
        let before = self.api.store.state_event_before(&event.room_id, position, "m.room.member", user).await?;
        Ok(before.as_ref().and_then(visibility::membership) != Some(Membership::Join))
    }
}

#[derive(Deserialize)]
struct Named {
    displayname: Option<String>,
}

/// An event that notifies a user.
pub(crate) struct Notifying {
    pub(crate) event: StoredEvent,
    /// What is to be done.
    pub(crate) actions: Vec<Action>,
    /// Whether the user has read it.
    pub(crate) read: bool,
}
