//! `DELETE /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device`

use axum::response::Response;

use super::{About, no_device};
use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;
use crate::sync::extensions::e2ee;

pub(crate) async fn delete(api: Api, session: Session, _: RawRequest) -> ApiResult<Response> {
    api.limits.changes.take(session.user_id.as_str())?;
    let device = api.store.dehydrated_device(&session.user_id).await?.ok_or_else(no_device)?;
    api.store.remove_devices(&session.user_id, Some(&device.device_id)).await?;
    e2ee::tell_changed(&api, &session.user_id).await?;
    Ok(respond(JsonResponse(About { device_id: device.device_id })))
}
