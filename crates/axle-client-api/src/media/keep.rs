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
            remove_unused(api, &stored.hash).await;
        }
    }
    Ok(outcome?)
}

/// Removes a file, unless somebody has it.
pub(crate) async fn remove_unused(api: &Api, hash: &ContentHash) {
    let _alone = api.keeping.write().await;
    let removed = match api.store.is_content_kept(hash).await {
        Ok(false) => api.media.remove(hash).await.map_err(|error| error.to_string()),
        Ok(true) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = removed {
        tracing::warn!(error, "a file that nobody has stays on the disk");
    }
}
