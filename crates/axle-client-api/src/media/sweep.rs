//! Removing files of other servers that nobody asks for any longer, or that are too many. Their servers have them still.

use std::time::Duration;

use tokio::time::timeout;

use super::keep::remove_unused;
use crate::error::ApiResult;
use crate::state::{Api, now_ms};

/// How often it is looked for files to remove, if nothing else gives cause to.
const INTERVAL: Duration = Duration::from_secs(3600);
/// Files that are removed at once.
const BATCH: usize = 100;

/// Looks from time to time, and whenever much was fetched. Runs for ever.
pub(crate) async fn keep_remote_media_small(api: &Api) {
    loop {
        if let Err(error) = sweep(api).await {
            tracing::error!(?error, "files of other servers could not be removed");
        }
        // Nothing happens when it is time: it is looked in any case.
        let _ = timeout(INTERVAL, api.sweep.notified()).await;
    }
}

/// Removes what is too old, and the oldest of what is too much.
async fn sweep(api: &Api) -> ApiResult<()> {
    let config = api.config.media;
    let retention = config.remote_retention.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let oldest = retention.map_or(i64::MIN, |retention| now_ms().saturating_sub(retention));
    let mut bytes = api.store.remote_media_bytes().await?;
    loop {
        let mut gone = Vec::new();
        for media in api.store.oldest_remote_media(BATCH).await? {
            if media.accessed_ts > oldest && bytes <= config.remote_cache_bytes {
                break;
            }
            bytes = bytes.saturating_sub(media.size);
            gone.push(media);
        }
        if gone.is_empty() {
            return Ok(());
        }
        tracing::debug!(files = gone.len(), "files of other servers are removed");
        for hash in api.store.remove_remote_media(gone).await? {
            remove_unused(api, &hash).await;
        }
    }
}
