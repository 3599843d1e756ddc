//! Media of other servers: fetched when somebody first asks for them, and kept for a while.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axle_protocol::{MatrixError, ServerName};
use axle_store::MediaContent;
use lru::LruCache;
use ruma::http_headers::ContentDisposition;
use tokio::sync::{Semaphore, watch};

use super::find::wait;
use super::keep::remove_unused;
use super::pieces::{Pieces, Stopped};
use super::receive::{MAX_CONTENT_TYPE_BYTES, MAX_FILE_NAME_BYTES};
use super::unknown;
use crate::error::{ApiError, ApiResult};
use crate::service::RemoteFile;
use crate::state::{Api, now_ms};

/// Files that are fetched at once; more wait. Likewise those of one server.
const MAX_AT_ONCE: usize = 64;
const MAX_AT_ONCE_OF_SERVER: usize = 8;
/// Files that are fetched or wait for that; more are refused, for so many milliseconds.
const MAX_UNDER_WAY: usize = 1_000;
const RETRY_AFTER_MS: u64 = 1_000;
/// Servers whose files are counted.
const MAX_SERVERS: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
/// A file that takes longer is given up, however it moves.
const MAX_TIME: Duration = Duration::from_secs(600);
/// When a file was last asked for is noted once in so many milliseconds: a day.
const NOTE_ACCESS_EVERY_MS: i64 = 24 * 3600 * 1000;

/// A server and an id of its media.
type Address = (ServerName, String);
/// What comes of a fetch.
type Outcome = Option<Result<MediaContent, MatrixError>>;

/// Files of other servers that are on their way.
pub(crate) struct Fetching {
    under_way: Mutex<HashMap<Address, watch::Receiver<Outcome>>>,
    all: Semaphore,
    by_server: Mutex<LruCache<ServerName, Arc<Semaphore>>>,
}

impl Default for Fetching {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
            all: Semaphore::new(MAX_AT_ONCE),
            by_server: Mutex::new(LruCache::new(MAX_SERVERS)),
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
        return Ok(content);
    }
    if !may_fetch {
        return Err(unknown().into());
    }
    let mut outcome = begin(api, (server.clone(), media_id.to_owned()), wait(wait_ms))?;
    let fetched = outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
    match fetched {
        Ok(Some(fetched)) => Ok(fetched?),
        _ => Err(MatrixError::unknown("The file could not be fetched.").into()),
    }
}

/// What is here of another server's.
async fn kept(api: &Api, server: &ServerName, media_id: &str) -> ApiResult<Option<MediaContent>> {
    let Some(known) = api.store.remote_media(server, media_id).await? else { return Ok(None) };
    let now = now_ms();
    if known.accessed_ts.saturating_add(NOTE_ACCESS_EVERY_MS) <= now {
        api.store.touch_remote_media(server, media_id, now).await?;
    }
    Ok(Some(known.content))
}

/// Fetches a file, unless that is under way. It goes on when the client goes away: others may wait for the same.
fn begin(api: &Api, address: Address, wait: Duration) -> Result<watch::Receiver<Outcome>, MatrixError> {
    let mut under_way = api.fetching.under_way.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(outcome) = under_way.get(&address) {
        return Ok(outcome.clone());
    }
    if under_way.len() >= MAX_UNDER_WAY {
        return Err(MatrixError::limit_exceeded(RETRY_AFTER_MS));
    }
    let (tell, outcome) = watch::channel(None);
    under_way.insert(address.clone(), outcome.clone());
    let (background, api) = (&api.background, api.clone());
    background.spawn(async move {
        let entry = UnderWay { api: &api, address: &address };
        let fetched = tokio::time::timeout(MAX_TIME, fetch(&api, &address, wait)).await;
        let too_slow = |_| Err(MatrixError::gateway_timeout("The other server is too slow.").into());
        let fetched = fetched.unwrap_or_else(too_slow);
        // Whoever comes now finds it in the store.
        drop(entry);
        tell.send_replace(Some(fetched.map_err(ApiError::into_matrix_error)));
    });
    Ok(outcome)
}

/// Takes a fetch off the list when it ends, however it ends.
struct UnderWay<'a> {
    api: &'a Api,
    address: &'a Address,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.api.fetching.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(self.address);
    }
}

async fn fetch(api: &Api, address: &Address, wait: Duration) -> ApiResult<MediaContent> {
    let (server, media_id) = address;
    let stopping = |_| MatrixError::unknown("The server is stopping.");
    let of_server = {
        let mut by_server = api.fetching.by_server.lock().unwrap_or_else(PoisonError::into_inner);
        by_server.get_or_insert(server.clone(), || Arc::new(Semaphore::new(MAX_AT_ONCE_OF_SERVER))).clone()
    };
    let _of_server = of_server.acquire().await.map_err(stopping)?;
    let _of_all = api.fetching.all.acquire().await.map_err(stopping)?;
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
