//! Media of other servers: fetched when somebody first asks for them, and kept for a while.

use std::time::Duration;

use axle_protocol::{MatrixError, ServerName};
use axle_store::MediaContent;
use ruma::http_headers::ContentDisposition;

use super::find::wait;
use super::keep::remove_unused;
use super::pieces::{Pieces, Stopped};
use super::receive::{MAX_CONTENT_TYPE_BYTES, MAX_FILE_NAME_BYTES};
use super::unknown;
use crate::error::{ApiError, ApiResult};
use crate::service::RemoteFile;
use crate::state::{Api, now_ms};
use crate::turns::Turns;
use crate::under_way::UnderWay;

/// Files that are fetched at once; more wait. Likewise those of one server.
const MAX_AT_ONCE: usize = 64;
const MAX_AT_ONCE_OF_SERVER: usize = 8;
/// Files that are fetched or wait for that; more are refused.
const MAX_UNDER_WAY: usize = 1_000;
/// A file that takes longer is given up, however it moves.
const MAX_TIME: Duration = Duration::from_secs(600);
/// When a file was last asked for is noted once in so many milliseconds: a day.
const NOTE_ACCESS_EVERY_MS: i64 = 24 * 3600 * 1000;

/// A server and an id of its media.
type Address = (ServerName, String);

/// Files of other servers that are on their way.
pub(crate) struct Fetching {
    under_way: UnderWay<Address, Result<MediaContent, MatrixError>>,
    turns: Turns<ServerName>,
}

impl Default for Fetching {
    fn default() -> Self {
        Self { under_way: UnderWay::new(MAX_UNDER_WAY), turns: Turns::new(MAX_AT_ONCE, MAX_AT_ONCE_OF_SERVER) }
    }
}

/// What another server has under this id. It is fetched, if it is not here and `may_fetch`; else 404. 502 `M_TOO_LARGE` if
/// it is larger than what is fetched, 504 `M_NOT_YET_UPLOADED` if it has not been uploaded there yet.
pub(crate) async fn find(
    api: &Api,
    server: &ServerName,
    media_id: &str,
    wait_ms: Option<u64>,
    may_fetch: bool,
) -> ApiResult<MediaContent> {
    if let Some(content) = kept(api, server, media_id).await? {
        return Ok(content);
    }
    if !may_fetch {
        return Err(unknown().into());
    }
    let address = (server.clone(), media_id.to_owned());
    let fetch = || {
        let (api, address) = (api.clone(), address.clone());
        async move { fetch_in_time(&api, &address, wait(wait_ms)).await }
    };
    Ok(api.fetching.under_way.share(&api.background, address.clone(), fetch).await??)
}

/// What is here of another server's.
pub(super) async fn kept(api: &Api, server: &ServerName, media_id: &str) -> ApiResult<Option<MediaContent>> {
    let Some(known) = api.store.remote_media(server, media_id).await? else { return Ok(None) };
    let now = now_ms();
    if known.accessed_ts.saturating_add(NOTE_ACCESS_EVERY_MS) <= now {
        api.store.touch_remote_media(server, media_id, now).await?;
    }
    Ok(Some(known.content))
}

async fn fetch_in_time(api: &Api, address: &Address, wait: Duration) -> Result<MediaContent, MatrixError> {
    let fetched = tokio::time::timeout(MAX_TIME, fetch(api, address, wait)).await;
    let fetched = fetched.map_err(|_| MatrixError::gateway_timeout("The other server is too slow."))?;
    fetched.map_err(ApiError::into_matrix_error)
}

async fn fetch(api: &Api, address: &Address, wait: Duration) -> ApiResult<MediaContent> {
    let (server, media_id) = address;
    let _turn = api.fetching.turns.take(server).await?;
    // Another fetch may have ended between the look into the store and the entry in the list.
    if let Some(known) = api.store.remote_media(server, media_id).await? {
        return Ok(known.content);
    }
    let file = api.remote.media(server, media_id, wait).await?;
    receive(api, address, file).await
}

/// Writes a file of another server to the disk, piece by piece, and keeps it; or nothing of it.
async fn receive(api: &Api, (server, media_id): &Address, remote: RemoteFile) -> ApiResult<MediaContent> {
    let RemoteFile { content_type, disposition, content } = remote;
    let mut file = api.media.begin().await?;
    let mut pieces = Pieces::new(content, api.config.media.stall_timeout);
    while let Some(piece) = pieces.next().await.map_err(stopped)? {
        let size = file.size().saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if size > api.config.media.max_remote_bytes {
            return Err(too_large().into());
        }
        file.write(&piece).await?;
    }
    let keeping = api.keeping.read().await;
    let stored = file.finish().await?;
    let content = MediaContent {
        hash: stored.hash,
        size: stored.size,
        content_type: content_type.filter(|text| !text.is_empty() && text.len() <= MAX_CONTENT_TYPE_BYTES),
        file_name: disposition.and_then(|text| file_name(&text)),
    };
    let outcome = api.store.put_remote_media(server, media_id, now_ms(), content.clone()).await;
    drop(keeping);
    if let Err(error) = outcome {
        remove_unused(api, &stored.hash).await;
        return Err(error.into());
    }
    api.fetching_has_grown(stored.size);
    Ok(content)
}

/// What the file is called, where that is told.
fn file_name(disposition: &str) -> Option<String> {
    let name = disposition.parse::<ContentDisposition>().ok()?.filename?;
    (!name.is_empty() && name.len() <= MAX_FILE_NAME_BYTES).then_some(name)
}

fn stopped(stopped: Stopped<MatrixError>) -> MatrixError {
    match stopped {
        Stopped::Stalled => MatrixError::gateway_timeout("The other server stopped sending the file."),
        Stopped::Broken(error) => error,
    }
}

fn too_large() -> MatrixError {
    MatrixError::new(502, "M_TOO_LARGE", "The file is larger than what this server fetches of others.")
}
