//! Thumbnails: made when they are first asked for, and kept like what was uploaded.

use std::sync::Arc;

use axle_media::{MAX_PICTURE_BYTES, ThumbnailError, ThumbnailMethod, ThumbnailSize, thumbnail_type};
use axle_protocol::MatrixError;
use axle_store::{MediaContent, MediaThumbnail};

use super::keep::remove_unused;
use crate::error::ApiResult;
use crate::state::Api;

/// So many are made at once. Each may take the memory that the largest picture takes.
pub(crate) const MAX_AT_ONCE: usize = 2;

/// A thumbnail of this content. 413 `M_TOO_LARGE` if the picture is too large for that, 400 `M_UNKNOWN` if it is none that
/// can be read.
pub(crate) async fn thumbnail(api: &Api, content: &MediaContent, size: ThumbnailSize) -> ApiResult<MediaContent> {
    if content.size > MAX_PICTURE_BYTES {
        return Err(too_large().into());
    }
    let name = size.to_string();
    if let Some(known) = api.store.thumbnail(&content.hash, &name).await? {
        return Ok(as_content(known)?);
    }
    let turn = Arc::clone(&api.thumbnailing).acquire_owned().await;
    let turn = turn.map_err(|_| MatrixError::unknown("The server is stopping."))?;
    // Somebody else may have waited for the same one, and have got it.
    if let Some(known) = api.store.thumbnail(&content.hash, &name).await? {
        return Ok(as_content(known)?);
    }
    let (api, picture) = (api.clone(), content.clone());
    // Goes on when the client goes away: what is half made would be begun again by the next one.
    let made = tokio::spawn(async move {
        let _turn = turn;
        make(&api, &picture, size).await
    });
    let made = made.await.map_err(|error| failed(&error.to_string()))??;
    Ok(as_content(made)?)
}

/// The size that a request wants.
pub(crate) fn size(
    method: Option<&str>,
    width: Option<&str>,
    height: Option<&str>,
) -> Result<ThumbnailSize, MatrixError> {
    let method = match method {
        None | Some("scale") => ThumbnailMethod::Scale,
        Some("crop") => ThumbnailMethod::Crop,
        Some(_) => return Err(MatrixError::new(400, "M_UNKNOWN", "A method is \"crop\" or \"scale\".")),
    };
    Ok(ThumbnailSize::for_request(method, side(width)?, side(height)?))
}

fn side(text: Option<&str>) -> Result<u32, MatrixError> {
    let Some(text) = text else {
        return Err(MatrixError::new(400, "M_MISSING_PARAM", "Width and height of the thumbnail are missing."));
    };
    let side = text.parse().ok().filter(|side| *side > 0);
    side.ok_or_else(|| MatrixError::new(400, "M_UNKNOWN", "Width and height are whole numbers of pixels, above 0."))
}

async fn make(api: &Api, picture: &MediaContent, size: ThumbnailSize) -> ApiResult<MediaThumbnail> {
    let Some(file) = api.media.file(&picture.hash).await? else { return Err(super::serve::lost(picture).into()) };
    let name = size.to_string();
    let refusal = match api.thumbnailer.make(file, size).await {
        Ok(bytes) => match thumbnail_type(&bytes) {
            Some(content_type) => return keep(api, picture, &name, &bytes, content_type).await,
            None => return Err(failed("what was made is no picture").into()),
        },
        Err(ThumbnailError::TooLarge) => MediaThumbnail::TooLarge,
        Err(ThumbnailError::NoPicture) => MediaThumbnail::NoPicture,
        Err(ThumbnailError::Failed(error)) => return Err(failed(&error).into()),
    };
    // So that it is not tried again and again.
    api.store.put_thumbnail(&picture.hash, &name, refusal.clone()).await?;
    Ok(refusal)
}

async fn keep(
    api: &Api,
    picture: &MediaContent,
    name: &str,
    bytes: &[u8],
    content_type: &str,
) -> ApiResult<MediaThumbnail> {
    let keeping = api.keeping.read().await;
    let mut file = api.media.begin().await?;
    file.write(bytes).await?;
    let stored = file.finish().await?;
    let made = MediaThumbnail::Made { hash: stored.hash, size: stored.size, content_type: content_type.to_owned() };
    let outcome = api.store.put_thumbnail(&picture.hash, name, made.clone()).await;
    drop(keeping);
    if outcome.is_err() {
        remove_unused(api, &stored.hash).await;
    }
    outcome?;
    Ok(made)
}

fn as_content(thumbnail: MediaThumbnail) -> Result<MediaContent, MatrixError> {
    match thumbnail {
        MediaThumbnail::Made { hash, size, content_type } => {
            let kind = content_type.strip_prefix("image/").unwrap_or_default();
            let file_name = Some(format!("thumbnail.{kind}"));
            Ok(MediaContent { hash, size, content_type: Some(content_type), file_name })
        }
        MediaThumbnail::TooLarge => Err(too_large()),
        MediaThumbnail::NoPicture => {
            Err(MatrixError::new(400, "M_UNKNOWN", "This is no picture that the server can make a thumbnail of."))
        }
    }
}

fn too_large() -> MatrixError {
    MatrixError::too_large("The picture is too large for the server to make a thumbnail of it.")
}

fn failed(error: &str) -> MatrixError {
    tracing::warn!(error, "a thumbnail could not be made");
    MatrixError::unknown("The thumbnail could not be made.")
}
