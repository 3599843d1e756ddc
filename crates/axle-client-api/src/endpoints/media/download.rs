//! `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}[/{fileName}]`, and the same for anyone on older paths

use axum::response::Response;
use serde::Deserialize;

use crate::endpoint::RawRequest;
use crate::error::ApiResult;
use crate::media::{self, Audience};
use crate::session::Session;
use crate::state::Api;

pub(super) const AUTHENTICATED_PATHS: [&str; 2] =
    ["/_matrix/client/v1/media/download/{server}/{id}", "/_matrix/client/v1/media/download/{server}/{id}/{name}"];

pub(super) const OPEN_PATHS: [&str; 4] = [
    "/_matrix/media/v3/download/{server}/{id}",
    "/_matrix/media/v3/download/{server}/{id}/{name}",
    "/_matrix/media/r0/download/{server}/{id}",
    "/_matrix/media/r0/download/{server}/{id}/{name}",
];

#[derive(Deserialize)]
struct Query {
    timeout_ms: Option<u64>,
    allow_remote: Option<String>,
}

pub(super) async fn authenticated(api: Api, _: Session, request: RawRequest) -> ApiResult<Response> {
    download(&api, request, Audience::Private).await
}

pub(super) async fn open(api: Api, session: Option<Session>, request: RawRequest) -> ApiResult<Response> {
    download(&api, request, Audience::of(session.as_ref())).await
}

async fn download(api: &Api, request: RawRequest, audience: Audience) -> ApiResult<Response> {
    let query: Query = request.query()?;
    let (server, may_fetch) = (request.path(0).unwrap_or_default(), audience.may_fetch());
    media::check_asked(api, server, query.allow_remote.as_deref())?;
    let (media_id, name, head) = (request.path(1).unwrap_or_default(), request.path(2), request.head());
    let content = media::find_of(api, server, media_id, query.timeout_ms, may_fetch).await?;
    media::serve(api, &content, name, head, audience).await
}
