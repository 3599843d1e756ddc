//! `GET /_matrix/client/v1/media/preview_url`, and the same on older paths

use ruma::api::client::authenticated_media::get_media_preview::v1::{Request, Response};

use crate::error::ApiResult;
use crate::previews;
use crate::session::Session;
use crate::state::Api;

pub(super) const PATHS: [&str; 3] =
    ["/_matrix/client/v1/media/preview_url", "/_matrix/media/v3/preview_url", "/_matrix/media/r0/preview_url"];

/// Of a page as it was at another time (`ts`) this server knows nothing.
pub(super) async fn preview_url(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    Ok(Response::from_raw_value(previews::preview(&api, &session.user_id, &request.url).await?))
}
