//! Media: taking uploads in, finding them, making thumbnails of them, and giving them out.

mod find;
mod headers;
mod keep;
mod range;
mod receive;
mod serve;
mod thumbnail;
mod uploading;

use axle_protocol::MatrixError;
use axle_store::MediaUploaded;
use ruma::OwnedMxcUri;

use crate::session;
use crate::state::Api;

pub(crate) use find::find;
pub(crate) use keep::keep;
pub(crate) use receive::receive;
pub(crate) use serve::{Audience, serve};
pub(crate) use thumbnail::{MAX_AT_ONCE as MAX_THUMBNAILS_AT_ONCE, thumbnail};
pub(crate) use uploading::Uploading;

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

/// Whether this is the server that has the media: it gets none from others.
pub(crate) fn check_server(api: &Api, server: Option<&str>) -> Result<(), MatrixError> {
    match server == Some(api.config.server_name.as_str()) {
        true => Ok(()),
        false => Err(unknown()),
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
