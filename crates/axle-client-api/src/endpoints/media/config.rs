//! `GET /_matrix/client/v1/media/config`, and the same on older paths

use ruma::UInt;
use ruma::api::client::authenticated_media::get_media_config::v1::{Request, Response};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(super) const PATHS: [&str; 3] =
    ["/_matrix/client/v1/media/config", "/_matrix/media/v3/config", "/_matrix/media/r0/config"];

pub(super) async fn config(api: Api, _: Session, _: Request) -> ApiResult<Response> {
    Ok(Response::new(UInt::try_from(api.config.media.max_upload_bytes).unwrap_or(UInt::MAX)))
}
