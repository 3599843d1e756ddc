//! `POST /_matrix/media/v1/create`

use axle_protocol::MatrixError;
use ruma::api::client::media::create_mxc_uri::v1::{Request, Response};
use ruma::{MilliSecondsSinceUnixEpoch, UInt};

use crate::error::ApiResult;
use crate::media;
use crate::session::Session;
use crate::state::{Api, now_ms};

/// How long an address can be uploaded to, in milliseconds: a day, as the specification advises.
const EXPIRY_MS: i64 = 24 * 3600 * 1000;
/// How many addresses a user may have that nothing was uploaded to yet.
const MAX_RESERVED: u64 = 64;

pub(super) async fn create(api: Api, session: Session, _: Request) -> ApiResult<Response> {
    api.limits.changes.take(session.user_id.as_str())?;
    let media_id = media::new_id()?;
    let now = now_ms();
    let expires = now.saturating_add(EXPIRY_MS);
    if !api.store.reserve_media(&media_id, &session.user_id, now, expires, MAX_RESERVED).await? {
        let error = format!("You have {MAX_RESERVED} addresses that nothing was uploaded to yet. Use those first.");
        return Err(MatrixError::new(429, "M_LIMIT_EXCEEDED", error).into());
    }
    let mut response = Response::new(media::address(&api, &media_id));
    response.unused_expires_at = UInt::try_from(expires).ok().map(MilliSecondsSinceUnixEpoch);
    Ok(response)
}
