//! Pictures of pages: fetched, measured, and kept as media of this server.
//!
//! They are kept as files of other servers are: within the same bounds of size and age, and in nobody's quota.

use axle_media::{StoredFile, picture_type};
use axle_protocol::MatrixError;
use axle_store::{MediaContent, RemoteMediaAge};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use url::Url;

use super::fetch::{self, PICTURES};
use crate::error::ApiResult;
use crate::media;
use crate::state::{Api, now_ms};

/// The largest picture that is fetched. So many bytes of each preview that is made at once may be in memory.
const MAX_BYTES: usize = 8 << 20;

/// A picture that is kept.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub(super) media_id: String,
    /// What is told of it.
    pub(super) fields: Map<String, Value>,
}

/// Fetches a picture; `None`: there is none that this server can read. `before` is the one that was there the last time.
pub(super) async fn fetch(api: &Api, url: &Url, before: Option<&str>) -> ApiResult<Option<Picture>> {
    let found = fetch::fetch(api, url, PICTURES, MAX_BYTES).await?;
    if !found.is_whole {
        return Ok(None);
    }
    keep(api, found.body, before).await
}

/// Keeps a picture; likewise. It goes on if the preview is given up meanwhile: a file that the store does not know would
/// stay on the disk.
pub(super) async fn keep(api: &Api, bytes: Bytes, before: Option<&str>) -> ApiResult<Option<Picture>> {
    let (api, before) = (api.clone(), before.map(str::to_owned));
    let kept = tokio::spawn(async move { keep_now(&api, &bytes, before.as_deref()).await }).await;
    kept.map_err(|error| MatrixError::unknown(format!("the picture cannot be kept: {error}")))?
}

async fn keep_now(api: &Api, bytes: &[u8], before: Option<&str>) -> ApiResult<Option<Picture>> {
    // What it says of itself is of no interest: clients are told what it is.
    let Some(content_type) = picture_type(bytes) else { return Ok(None) };
    let server = &api.config.server_name;
    let keeping = api.keeping.read().await;
    let mut file = api.media.begin().await?;
    file.write(bytes).await?;
    let StoredFile { hash, size } = file.finish().await?;
    let accessed_ts = now_ms();
    let content = MediaContent { hash, size, content_type: Some(content_type.into()), file_name: None };
    let put = put(api, content, before, accessed_ts).await;
    drop(keeping);
    let media_id = match put {
        Ok(media_id) => media_id,
        Err(error) => {
            media::remove_unused(api, &hash).await;
            return Err(error);
        }
    };
    api.fetching_has_grown(size);
    let Some((width, height)) = measure(api, &hash).await? else {
        let gone = RemoteMediaAge { server: server.clone(), media_id, accessed_ts, size };
        for hash in api.store.remove_remote_media(vec![gone]).await? {
            media::remove_unused(api, &hash).await;
        }
        return Ok(None);
    };
    let fields = json!({
        "og:image": media::address(api, &media_id),
        "og:image:type": content_type,
        "og:image:width": width,
        "og:image:height": height,
        "matrix:image:size": size,
    });
    let fields = fields.as_object().cloned().unwrap_or_default();
    Ok(Some(Picture { media_id, fields }))
}

/// Keeps it under the id that it had before, or a new one.
async fn put(api: &Api, content: MediaContent, before: Option<&str>, fetched_ts: i64) -> ApiResult<String> {
    let server = &api.config.server_name;
    let known = match before {
        Some(before) => {
            api.store.remote_media(server, before).await?.filter(|known| known.content.hash == content.hash)
        }
        None => None,
    };
    let media_id = match (before, known) {
        (Some(before), Some(_)) => before.to_owned(),
        _ => media::new_id()?,
    };
    api.store.put_remote_media(server, &media_id, fetched_ts, content).await?;
    Ok(media_id)
}

/// Its width and height; `None`: it cannot be read.
async fn measure(api: &Api, hash: &[u8; 32]) -> ApiResult<Option<(u32, u32)>> {
    let Some(file) = api.media.file(hash).await? else { return Ok(None) };
    let _turn = api.thumbnailing.acquire().await.map_err(|_| MatrixError::unknown("The server is stopping."))?;
    let measured = api.thumbnailer.measure(file).await;
    Ok(measured.inspect_err(|error| tracing::debug!(%error, "a picture of a preview cannot be read")).ok())
}
