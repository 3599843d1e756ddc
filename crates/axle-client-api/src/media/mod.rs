//! Media: taking uploads in, fetching those of other servers, finding them, making thumbnails of them, and giving them out.

mod find;
mod headers;
mod keep;
mod pieces;
mod range;
mod receive;
mod remote;
mod removal;
mod serve;
mod sweep;
mod thumbnail;
mod uploading;

use axle_protocol::{MatrixError, ServerName};
use axle_store::{MediaContent, MediaUploaded};
use ruma::OwnedMxcUri;

use crate::error::ApiResult;
use crate::session;
use crate::state::Api;

pub(crate) use find::find;
pub(crate) use headers::{content_type, disposition_of};
pub(crate) use keep::{keep, remove_unused};
pub(crate) use receive::receive;
pub(crate) use remote::Fetching;
pub(crate) use removal::{remove, remove_remote_before};
pub(crate) use serve::{Audience, open, serve};
pub(crate) use sweep::keep_remote_media_small;
pub(crate) use thumbnail::{MAX_AT_ONCE as MAX_THUMBNAILS_AT_ONCE, size as thumbnail_size, thumbnail};
pub(crate) use uploading::Uploading;

/// The longest id of another server's media.
const MAX_ID_BYTES: usize = 255;
/// Random bytes in a media id. Who does not know an address cannot guess it.
const ID_BYTES: usize = 18;

/// A new media id.
pub(crate) fn new_id() -> Result<String, MatrixError> {
    session::random_token(ID_BYTES)
}

/// The address of a piece of media of this server.
pub(crate) fn address(api: &Api, media_id: &str) -> OwnedMxcUri {
    format!("mxc://{}/{media_id}", api.config.server_name).into()
}

/// Whether this is the server that has the media.
pub(crate) fn check_server(api: &Api, server: Option<&str>) -> Result<(), MatrixError> {
    match server == Some(api.config.server_name.as_str()) {
        true => Ok(()),
        false => Err(unknown()),
    }
}

/// What a server, this or another, has under this id. `may_fetch`: whether another one may be asked for what is not here.
pub(crate) async fn find_of(
    api: &Api,
    server: &str,
    media_id: &str,
    wait_ms: Option<u64>,
    may_fetch: bool,
) -> ApiResult<MediaContent> {
    if server == api.config.server_name.as_str() {
        return find(api, media_id, wait_ms).await;
    }
    let server = ServerName::parse(server).map_err(|_| unknown())?;
    if media_id.is_empty() || media_id.len() > MAX_ID_BYTES {
        return Err(unknown().into());
    }
    remote::find(api, &server, media_id, wait_ms, may_fetch).await
}

/// Whether a client may ask for media of this server: not of another one, if it says that that is not to be asked.
pub(crate) fn check_asked(api: &Api, server: &str, allow_remote: Option<&str>) -> Result<(), MatrixError> {
    match allow_remote == Some("false") && server != api.config.server_name.as_str() {
        true => Err(unknown()),
        false => Ok(()),
    }
}

/// There is no such media.
pub(crate) fn unknown() -> MatrixError {
    MatrixError::not_found("There is no such media on this server.")
}

/// Something was uploaded to this address before.
pub(crate) fn taken() -> MatrixError {
    MatrixError::new(409, "M_CANNOT_OVERWRITE_MEDIA", "Something was uploaded to this address before.")
}

/// Whether an upload was kept.
pub(crate) fn check_kept(uploaded: MediaUploaded) -> Result<(), MatrixError> {
    match uploaded {
        MediaUploaded::Kept => Ok(()),
        MediaUploaded::OverQuota => Err(over_quota()),
        MediaUploaded::TakenBefore => Err(taken()),
        MediaUploaded::Unknown => Err(unknown()),
    }
}

/// The user has uploaded as much as they may.
fn over_quota() -> MatrixError {
    MatrixError::forbidden("You have uploaded as many bytes as you may.")
}
