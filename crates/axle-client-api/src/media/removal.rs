//! Removing media for good, as administrators do.

use super::keep::remove_unused;
use crate::error::ApiResult;
use crate::state::Api;

/// Files that are removed at once.
const BATCH: usize = 100;

/// Removes uploads, with their files if nobody else has the same; the ids of those that were there.
pub(crate) async fn remove(api: &Api, media_ids: Vec<String>) -> ApiResult<Vec<String>> {
    let removed = api.store.remove_media(media_ids).await?;
    for hash in &removed.content {
        remove_unused(api, hash).await;
    }
    Ok(removed.media_ids)
}

/// Removes what was fetched from elsewhere and was last asked for before this time, in milliseconds since the Unix epoch;
/// how many files that are.
pub(crate) async fn remove_remote_before(api: &Api, before_ts: i64) -> ApiResult<usize> {
    let mut count = 0_usize;
    loop {
        let mut old = api.store.oldest_remote_media(BATCH).await?;
        old.retain(|media| media.accessed_ts < before_ts);
        if old.is_empty() {
            return Ok(count);
        }
        count = count.saturating_add(old.len());
        for hash in api.store.remove_remote_media(old).await? {
            remove_unused(api, &hash).await;
        }
    }
}
