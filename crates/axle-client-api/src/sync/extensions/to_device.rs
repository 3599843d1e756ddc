//! Messages for the device that syncs.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use axle_protocol::UserId;
use lru::LruCache;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cache::bounded;
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;
use crate::token::BEFORE_EVERYTHING;

/// Messages in one answer.
pub(crate) const MAX_MESSAGES: usize = 100;

/// Devices of which it is kept whether they have been told messages.
const MAX_DEVICES: NonZeroUsize = NonZeroUsize::new(16 * 1024).unwrap();

/// Whether devices have been told messages and have not yet said that they have them: only then it is worth a look into the
/// store which messages they have. Of a device that is not kept, as after a start, that is not known.
pub(crate) struct Told(Mutex<LruCache<(UserId, String), bool>>);

impl Default for Told {
    fn default() -> Self {
        Self(Mutex::new(bounded(MAX_DEVICES)))
    }
}

impl Told {
    fn add(&self, session: &Session) {
        self.put(session, true);
    }

    /// Whether the device may have been told some. From now on it has not.
    pub(crate) fn take(&self, session: &Session) -> bool {
        self.put(session, false).unwrap_or(true)
    }

    fn put(&self, session: &Session, told: bool) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(session.device(), told)
    }
}

/// Messages, oldest first.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ToDevice {
    pub(crate) events: Vec<Box<RawValue>>,
}

/// The messages between two moments, so many at most, and where the answer has to end so that the next one goes on with
/// those that are left.
pub(crate) async fn read(
    api: &Api,
    session: &Session,
    (since, until): (Option<i64>, i64),
    limit: usize,
) -> ApiResult<(ToDevice, i64)> {
    let after = since.unwrap_or(BEFORE_EVERYTHING);
    let mut found = api.store.to_device(&session.user_id, &session.device_id, after, until, limit + 1).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let until = if more { found.last().map_or(until, |last| last.stream) } else { until };
    if !found.is_empty() {
        api.told_messages.add(session);
    }
    let events = found.into_iter().filter_map(|message| RawValue::from_string(message.json).ok()).collect();
    Ok((ToDevice { events }, until))
}

/// The client has what came up to this moment: it syncs from there.
pub(crate) async fn received(api: &Api, session: &Session, since: i64) -> ApiResult<()> {
    Ok(api.store.remove_to_device(&session.user_id, &session.device_id, since).await?)
}
