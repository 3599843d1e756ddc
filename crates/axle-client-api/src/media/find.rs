//! Finding media, also such that is about to be uploaded.

use std::time::Duration;

use axle_protocol::MatrixError;
use axle_store::{MediaContent, MediaState};
use tokio::time::{Instant, timeout_at};

use super::{remote, unknown};
use crate::error::ApiResult;
use crate::state::{Api, now_ms};

/// How long to wait for an upload if the client does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(20);
/// How long to wait at most.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What was uploaded under this id. If nothing was yet, waits for it; 504 `M_NOT_YET_UPLOADED` if that takes longer
/// than `wait_ms`.
pub(crate) async fn find(api: &Api, media_id: &str, wait_ms: Option<u64>) -> ApiResult<MediaContent> {
    let deadline = Instant::now() + wait(wait_ms);
    loop {
        // Before the store is read, so that no upload falls between.
        let uploaded = api.uploaded.notified();
        let Some(item) = api.store.media(media_id).await? else {
            // Pictures of previews are kept like files of other servers.
            let kept = remote::kept(api, &api.config.server_name, media_id).await?;
            return not_quarantined(api, kept.ok_or_else(unknown)?).await;
        };
        match item.state {
            MediaState::Uploaded(content) => return not_quarantined(api, content).await,
            MediaState::Reserved(until) if until <= now_ms() => return Err(unknown().into()),
            MediaState::Reserved(_) => {}
        }
        if timeout_at(deadline, uploaded).await.is_err() {
            let error = "Nothing has been uploaded to this address yet.";
            return Err(MatrixError::new(504, "M_NOT_YET_UPLOADED", error).into());
        }
    }
}

/// Content that may be given out: as if there were none, where an administrator has seen to it that nobody gets it.
pub(super) async fn not_quarantined(api: &Api, content: MediaContent) -> ApiResult<MediaContent> {
    match api.store.is_quarantined(&content.hash).await? {
        true => Err(unknown().into()),
        false => Ok(content),
    }
}

/// How long to wait for an upload.
pub(super) fn wait(wait_ms: Option<u64>) -> Duration {
    wait_ms.map_or(DEFAULT_WAIT, Duration::from_millis).min(MAX_WAIT)
}
