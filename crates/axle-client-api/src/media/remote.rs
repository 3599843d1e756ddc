//! Media of other servers: fetched when somebody first asks for them, and kept for a while.

use std::num::NonZeroUsize;
use std::time::Duration;

use axle_protocol::{MatrixError, ServerName};
use axle_store::MediaContent;
use ruma::http_headers::ContentDisposition;

use super::find::{not_quarantined, wait};
use super::keep::remove_unused;
use super::pieces::{Pieces, Stopped};
use super::receive::{MAX_CONTENT_TYPE_BYTES, MAX_FILE_NAME_BYTES};
use super::unknown;
use crate::cache::Cache;
use crate::error::{ApiError, ApiResult};
use crate::service::{NoRemoteFile, RemoteFile};
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
/// What could not be had is not asked for again for so long, nor is a server that did not answer.
const FAILURE_REMEMBERED: Duration = Duration::from_secs(120);
/// Files, and servers, of which that is remembered.
const MAX_FAILURES: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// When a file was last asked for is noted once in so many milliseconds: a day.
const NOTE_ACCESS_EVERY_MS: i64 = 24 * 3600 * 1000;

/// A server and an id of its media.
type Address = (ServerName, String);

/// Files of other servers that are on their way.
pub(crate) struct Fetching {
    under_way: UnderWay<Address, Result<MediaContent, MatrixError>>,
    turns: Turns<ServerName>,
    /// What could not be had.
    failed: Cache<Address, MatrixError>,
    /// Servers that did not answer.
    gone: Cache<ServerName, MatrixError>,
}

impl Default for Fetching {
    fn default() -> Self {
        Self {
            under_way: UnderWay::new(MAX_UNDER_WAY),
            turns: Turns::new(MAX_AT_ONCE, MAX_AT_ONCE_OF_SERVER),
            failed: Cache::new(MAX_FAILURES),
            gone: Cache::new(MAX_FAILURES),
        }
    }
}

impl Fetching {
    /// Fails if this was tried in vain a short while ago.
    fn check(&self, address: &Address) -> Result<(), MatrixError> {
        match self.gone.get(&address.0).or_else(|| self.failed.get(address)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Remembers why a file could not be had, if that may be so for a while.
    fn remember(&self, address: &Address, error: &MatrixError) {
        // It may be uploaded at any moment, this server may be told to wait, and its own failures are no one else's.
        let may_change = matches!(error.errcode.as_str(), "M_NOT_YET_UPLOADED" | "M_LIMIT_EXCEEDED");
        if matches!(error.status, 403 | 404 | 502 | 504) && !may_change {
            self.failed.put(address.clone(), error.clone(), FAILURE_REMEMBERED);
        }
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
        return not_quarantined(api, content).await;
    }
    if !may_fetch {
        return Err(unknown().into());
    }
    let address = (server.clone(), media_id.to_owned());
    api.fetching.check(&address)?;
    let fetch = || {
        let (api, address) = (api.clone(), address.clone());
        async move { fetch_in_time(&api, &address, wait(wait_ms)).await }
    };
    let fetched = api.fetching.under_way.share(&api.background, address.clone(), fetch).await??;
    not_quarantined(api, fetched).await
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
    let too_slow = |_| Err(MatrixError::gateway_timeout("The other server is too slow.").into());
    let fetched = fetched.unwrap_or_else(too_slow).map_err(ApiError::into_matrix_error);
    fetched.inspect_err(|error| api.fetching.remember(address, error))
}

async fn fetch(api: &Api, address: &Address, wait: Duration) -> ApiResult<MediaContent> {
    let (server, media_id) = address;
    let _turn = api.fetching.turns.take(server).await?;
    // Another fetch may have ended between the look into the store and the entry in the list.
    if let Some(known) = api.store.remote_media(server, media_id).await? {
        return Ok(known.content);
    }
    // Others may have waited in vain meanwhile.
    api.fetching.check(address)?;
    let file = api.remote.media(server, media_id, wait).await.map_err(|NoRemoteFile { error, is_server_gone }| {
        if is_server_gone {
            api.fetching.gone.put(server.clone(), error.clone(), FAILURE_REMEMBERED);
        }
        error
    })?;
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
