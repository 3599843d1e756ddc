//! Devices of other servers' users, for the hub of an encrypted room: what a commit is judged by has to be known before.
//!
//! A list is good as long as some user of ours has been in a room with theirs: their server tells this one of every
//! change. Others are asked for, and for a moment are believed in.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, UserId};
use futures_util::{StreamExt as _, stream};
use lru::LruCache;

use super::{Between, broken, remote_keys};
use crate::rooms::groups::DeviceSource;

/// How long the devices of all users of one commit may take together.
const PATIENCE: Duration = Duration::from_secs(10);
/// Users who are asked about for one commit; of more, what is known has to do.
const MAX_USERS: usize = 512;
/// Users who are asked about at once. Most of the time is spent waiting for servers that are gone.
const ASKED_AT_ONCE: usize = 32;
/// So long a list is believed in whose changes this server is not told of, and a server that gave none is left alone.
const BELIEVED_FOR: Duration = Duration::from_secs(30);
/// Users of whom it is remembered when they were asked about.
const MAX_REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// Rooms of a user that are looked through for users of this server.
const MAX_ROOMS: usize = 8;

/// When users were asked about, and whether they were answered for.
pub(super) struct Asked(Mutex<LruCache<UserId, (Instant, bool)>>);

impl Default for Asked {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_REMEMBERED)))
    }
}

impl Asked {
    fn note(&self, user_id: &UserId, is_answered: bool) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.put(user_id.clone(), (Instant::now(), is_answered));
    }

    /// How a question fared that was put a moment ago.
    fn lately(&self, user_id: &UserId) -> Option<bool> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, is_answered) = *asked.get(user_id)?;
        (at.elapsed() < BELIEVED_FOR).then_some(is_answered)
    }
}

#[async_trait]
impl DeviceSource for Between {
    async fn ensure_devices(&self, users: &[UserId]) {
        let others = users.iter().filter(|user_id| user_id.server_str() != self.me.as_str());
        let others: BTreeSet<UserId> = others.take(MAX_USERS).cloned().collect();
        let unknown = match not_followed(self, others).await {
            Ok(unknown) => unknown,
            Err(error) => {
                tracing::error!(%error, "it is not known whose devices are known");
                return;
            }
        };
        let asking: Vec<_> = unknown.iter().map(|user_id| ask(self, user_id)).collect();
        let asking = stream::iter(asking).buffer_unordered(ASKED_AT_ONCE).collect::<Vec<()>>();
        if tokio::time::timeout(PATIENCE, asking).await.is_err() {
            let unanswered = unknown.iter().filter(|user_id| self.asked.lately(user_id).is_none());
            unanswered.for_each(|user_id| self.asked.note(user_id, false));
            tracing::info!("the devices of some users of other servers were not there in time");
        }
    }
}

/// Those of these users of whose devices this server is not told, or does not know them. Users are looked at together who
/// are in a room with the same user of ours: most often all are in the room that the commit is for.
async fn not_followed(between: &Between, users: BTreeSet<UserId>) -> Result<BTreeSet<UserId>, MatrixError> {
    let store = &between.store;
    let mut left = users;
    let mut not_followed = BTreeSet::new();
    while let Some(user_id) = left.pop_first() {
        let Some(viewer) = local_user_with(between, &user_id).await? else {
            not_followed.insert(user_id);
            continue;
        };
        let candidates: Vec<UserId> = left.iter().cloned().collect();
        let mut together = store.sharing_rooms(&viewer, candidates).await.map_err(broken)?;
        together.push(user_id);
        let lists = store.remote_devices(&viewer, together.clone()).await.map_err(broken)?;
        let known: BTreeSet<UserId> = lists.into_iter().map(|list| list.user_id).collect();
        together.iter().for_each(|user_id| _ = left.remove(user_id));
        not_followed.extend(together.into_iter().filter(|user_id| !known.contains(user_id)));
    }
    Ok(not_followed)
}

/// A user of this server in a room with a user of another one.
async fn local_user_with(between: &Between, user_id: &UserId) -> Result<Option<UserId>, MatrixError> {
    for room_id in between.joined_rooms(user_id).await.map_err(broken)?.iter().take(MAX_ROOMS) {
        let members = between.store.members(room_id, Membership::Join).await.map_err(broken)?;
        if let Some(local) = members.into_iter().find(|member| member.server_str() == between.me.as_str()) {
            return Ok(Some(local));
        }
    }
    Ok(None)
}

/// Asks a user's server, unless it was asked a moment ago.
async fn ask(between: &Between, user_id: &UserId) {
    match between.asked.lately(user_id) {
        Some(false) => return,
        Some(true) if between.store.known_remote_devices(user_id).await.is_ok_and(|known| known.is_some()) => return,
        _ => {}
    }
    let answer = remote_keys::refresh(between, user_id).await;
    between.asked.note(user_id, answer.is_ok());
    if let Err(error) = answer {
        tracing::info!(%user_id, %error, "the devices of another server's user cannot be had");
    }
}
