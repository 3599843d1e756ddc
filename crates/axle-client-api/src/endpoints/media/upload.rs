//! `POST /_matrix/media/v3/upload`

use axum::response::Response as HttpResponse;
use ruma::api::client::media::create_content::v3::Response;

use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::media;
use crate::session::Session;
use crate::state::{Api, now_ms};

pub(super) const PATHS: [&str; 2] = ["/_matrix/media/v3/upload", "/_matrix/media/r0/upload"];

pub(super) async fn upload(api: Api, session: Session, request: RawRequest) -> ApiResult<HttpResponse> {
    api.limits.changes.take(session.user_id.as_str())?;
    let content = media::receive(&api, &session.user_id, request).await?;
    let media_id = media::new_id()?;
    let quota = api.config.media.quota_bytes_per_user;
    if !api.store.put_media(&media_id, &session.user_id, now_ms(), content, quota).await? {
        return Err(media::over_quota().into());
    }
    Ok(respond(Response::new(media::address(&api, &media_id))))
}
