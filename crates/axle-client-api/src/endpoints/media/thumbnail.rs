//! `GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}`, and the same for anyone on older paths

use axle_media::{ThumbnailMethod, ThumbnailSize};
use axle_protocol::MatrixError;
use axum::response::Response;
use serde::Deserialize;

use crate::endpoint::{Caller, RawRequest};
use crate::error::ApiResult;
use crate::media::{self, Audience};
use crate::session::Session;
use crate::state::Api;

pub(super) const AUTHENTICATED_PATHS: [&str; 1] = ["/_matrix/client/v1/media/thumbnail/{server}/{id}"];

pub(super) const OPEN_PATHS: [&str; 2] =
    ["/_matrix/media/v3/thumbnail/{server}/{id}", "/_matrix/media/r0/thumbnail/{server}/{id}"];

/// `animated` is not in it: a thumbnail never is.
#[derive(Deserialize)]
struct Query {
    width: Option<String>,
    height: Option<String>,
    method: Option<String>,
    timeout_ms: Option<u64>,
}

pub(super) async fn authenticated(api: Api, _: Session, request: RawRequest) -> ApiResult<Response> {
    thumbnail(&api, request, Audience::Private).await
}

pub(super) async fn open(api: Api, _: Caller, request: RawRequest) -> ApiResult<Response> {
    thumbnail(&api, request, Audience::Public).await
}

async fn thumbnail(api: &Api, request: RawRequest, audience: Audience) -> ApiResult<Response> {
    let query: Query = request.query()?;
    let size = size(&query)?;
    media::check_server(api, request.path(0))?;
    let content = media::find(api, request.path(1).unwrap_or_default(), query.timeout_ms).await?;
    let thumbnail = media::thumbnail(api, &content, size).await?;
    media::serve(api, &thumbnail, None, request.head(), audience).await
}

fn size(query: &Query) -> Result<ThumbnailSize, MatrixError> {
    let method = match query.method.as_deref() {
        None | Some("scale") => ThumbnailMethod::Scale,
        Some("crop") => ThumbnailMethod::Crop,
        Some(_) => return Err(MatrixError::new(400, "M_UNKNOWN", "A method is \"crop\" or \"scale\".")),
    };
    Ok(ThumbnailSize::for_request(method, side(query.width.as_deref())?, side(query.height.as_deref())?))
}

fn side(text: Option<&str>) -> Result<u32, MatrixError> {
    let Some(text) = text else {
        return Err(MatrixError::new(400, "M_MISSING_PARAM", "Width and height of the thumbnail are missing."));
    };
    let side = text.parse().ok().filter(|side| *side > 0);
    side.ok_or_else(|| MatrixError::new(400, "M_UNKNOWN", "Width and height are whole numbers of pixels, above 0."))
}
