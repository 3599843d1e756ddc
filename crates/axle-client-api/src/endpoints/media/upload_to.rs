//! `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}`

use axle_protocol::MatrixError;
use axle_store::MediaState;
use axum::response::Response;
use serde_json::json;

use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::media;
use crate::session::Session;
use crate::state::{Api, now_ms};

pub(super) const PATHS: [&str; 1] = ["/_matrix/media/v3/upload/{server}/{id}"];

pub(super) async fn upload_to(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    api.limits.changes.take(session.user_id.as_str())?;
    media::check_server(&api, request.path(0))?;
    let media_id = request.path(1).unwrap_or_default().to_owned();
    let item = api.store.media(&media_id).await?.ok_or_else(media::unknown)?;
    if item.uploader != session.user_id {
        return Err(MatrixError::forbidden("This address was made by somebody else.").into());
    }
    match item.state {
        MediaState::Uploaded(_) => return Err(media::taken().into()),
        MediaState::Reserved(until) if until <= now_ms() => return Err(media::unknown().into()),
        MediaState::Reserved(_) => {}
    }
    let upload = media::receive(&api, &session.user_id, request).await?;
    let quota = api.config.media.quota_bytes_per_user;
    let kept = media::keep(&api, upload, move |store, content| async move {
        store.complete_media(&media_id, content, quota).await
    });
    media::check_kept(kept.await?)?;
    Ok(respond(JsonResponse(json!({}))))
}
