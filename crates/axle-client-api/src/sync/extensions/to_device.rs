//! Messages for the device that syncs.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;
use crate::token::BEFORE_EVERYTHING;

/// Messages in one answer.
pub(crate) const MAX_MESSAGES: usize = 100;

/// Messages, oldest first.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ToDevice {
    pub(crate) events: Vec<Box<RawValue>>,
}

/// The messages up to a moment, so many at most, and where the answer has to end so that the next one goes on with those
/// that are left.
pub(crate) async fn read(api: &Api, session: &Session, until: i64, limit: usize) -> ApiResult<(ToDevice, i64)> {
    let mut found =
        api.store.to_device(&session.user_id, &session.device_id, BEFORE_EVERYTHING, until, limit + 1).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let until = if more { found.last().map_or(until, |last| last.stream) } else { until };
    let events = found.into_iter().filter_map(|message| RawValue::from_string(message.json).ok()).collect();
    Ok((ToDevice { events }, until))
}

/// The client has what came up to this moment: it syncs from there.
pub(crate) async fn received(api: &Api, session: &Session, since: i64) -> ApiResult<()> {
    Ok(api.store.remove_to_device(&session.user_id, &session.device_id, since).await?)
}
