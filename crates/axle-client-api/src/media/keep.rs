//! Keeping what has arrived: its file, and then what is known of it; or neither.

use std::sync::Arc;

use axle_media::ContentHash;
use axle_protocol::MatrixError;
use axle_store::{MediaContent, MediaUploaded, Store, StoreError};

use super::receive::Upload;
use crate::error::ApiResult;
use crate::state::Api;

/// Makes the file of an upload durable and has `put` store whose it is. If it does not, the file goes away again: it
/// would fill the disk, and count for nobody's quota. For the same reason this goes on when the client goes away.
pub(crate) async fn keep<P, F>(api: &Api, upload: Upload, put: P) -> ApiResult<MediaUploaded>
where
    P: FnOnce(Arc<dyn Store>, MediaContent) -> F + Send + 'static,
    F: Future<Output = Result<MediaUploaded, StoreError>> + Send + 'static,
{
    let api = api.clone();
    let kept = tokio::spawn(async move { keep_now(&api, upload, put).await }).await;
    kept.map_err(|error| {
        tracing::error!(%error, "an upload could not be kept");
        MatrixError::unknown("The upload could not be kept.")
    })?
}

async fn keep_now<P, F>(api: &Api, upload: Upload, put: P) -> ApiResult<MediaUploaded>
where
    P: FnOnce(Arc<dyn Store>, MediaContent) -> F,
    F: Future<Output = Result<MediaUploaded, StoreError>>,
{
    let Upload { file, content_type, file_name, on_its_way } = upload;
    let keeping = api.keeping.read().await;
    let stored = file.finish().await?;
    let content = MediaContent { hash: stored.hash, size: stored.size, content_type, file_name };
    let outcome = put(Arc::clone(&api.store), content).await;
    drop((keeping, on_its_way));
    match outcome {
        Ok(MediaUploaded::Kept) => api.uploaded.notify_waiters(),
        _ => {
            if remove_unused(api, &stored.hash).await.is_err() {
                tracing::warn!("the file of an upload that was not kept stays on the disk");
            }
        }
    }
    Ok(outcome?)
}

/// Removes a file that nobody has.
async fn remove_unused(api: &Api, hash: &ContentHash) -> ApiResult<()> {
    let _alone = api.keeping.write().await;
    if !api.store.is_media_kept(hash).await? {
        api.media.remove(hash).await?;
    }
    Ok(())
}
