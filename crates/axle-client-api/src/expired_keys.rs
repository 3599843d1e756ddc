//! Keys that have ended: they are not given out any more, and go away.

use std::time::Duration;

use crate::state::{Api, now_ms};

/// Keys that are removed in one write.
const BATCH: usize = 500;
/// How often they are looked for.
const PAUSE: Duration = Duration::from_secs(600);

/// Removes them, now and then. Never ends.
pub(crate) async fn forget(api: &Api) {
    loop {
        match api.store.remove_expired_keys(now_ms(), BATCH).await {
            Ok(BATCH) => continue,
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "keys that have ended could not be removed"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
