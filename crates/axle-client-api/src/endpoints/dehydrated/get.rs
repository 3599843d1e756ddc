//! `GET /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device`

use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{no_device, raw};
use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

#[derive(Serialize)]
struct Found {
    device_id: String,
    device_data: Box<RawValue>,
}

pub(crate) async fn get(api: Api, session: Session, _: RawRequest) -> ApiResult<Response> {
    let device = api.store.dehydrated_device(&session.user_id).await?.ok_or_else(no_device)?;
    Ok(respond(JsonResponse(Found { device_id: device.device_id, device_data: raw(device.data)? })))
}
