//! `GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}`, and the same for anyone on older paths

use axum::response::Response;
use serde::Deserialize;

use crate::endpoint::RawRequest;
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
    allow_remote: Option<String>,
}

pub(super) async fn authenticated(api: Api, _: Session, request: RawRequest) -> ApiResult<Response> {
    thumbnail(&api, request, Audience::Private).await
}

pub(super) async fn open(api: Api, session: Option<Session>, request: RawRequest) -> ApiResult<Response> {
    thumbnail(&api, request, Audience::of(session.as_ref())).await
}

async fn thumbnail(api: &Api, request: RawRequest, audience: Audience) -> ApiResult<Response> {
    let query: Query = request.query()?;
    let size = media::thumbnail_size(query.method.as_deref(), query.width.as_deref(), query.height.as_deref())?;
    let (server, media_id) = (request.path(0).unwrap_or_default(), request.path(1).unwrap_or_default());
    media::check_asked(api, server, query.allow_remote.as_deref())?;
    let content = media::find_of(api, server, media_id, query.timeout_ms, audience.may_fetch()).await?;
    let thumbnail = media::thumbnail(api, &content, size).await?;
    media::serve(api, &thumbnail, None, request.head(), audience).await
}
