//! `POST /_matrix/media/v3/upload`

use axle_store::MediaUploaded;
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
    let upload = media::receive(&api, &session.user_id, request).await?;
    let media_id = media::new_id()?;
    let address = media::address(&api, &media_id);
    let (quota, uploader) = (api.config.media.quota_bytes_per_user, session.user_id);
    let kept = media::keep(&api, upload, move |store, content| async move {
        let is_kept = store.put_media(&media_id, &uploader, now_ms(), content, quota).await?;
        Ok(if is_kept { MediaUploaded::Kept } else { MediaUploaded::OverQuota })
    });
    media::check_kept(kept.await?)?;
    Ok(respond(Response::new(address)))
}
